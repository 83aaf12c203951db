create or replace function londiste.with_moved_rows(i_moved text, i_statement text)
returns text as $$
-- ----------------------------------------------------------------------
-- Function: londiste.with_moved_rows(2)
--
--      A statement over transition tables, with queries of the same names in their place.
--
-- Parameters:  i_moved     - the queries, from londiste.moved_rows_sql; null: none
--              i_statement - the statement, which may have a WITH clause
-- Returns:     the statement
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions of partitioned tables
-- ----------------------------------------------------------------------
select case when i_moved is null then i_statement
            when pg_catalog.starts_with(i_statement, 'with ')
            then pg_catalog.concat('with ', i_moved, ', ', pg_catalog.substr(i_statement, 6))
            else pg_catalog.concat('with ', i_moved, ' ', i_statement) end;
$$ language sql immutable;
