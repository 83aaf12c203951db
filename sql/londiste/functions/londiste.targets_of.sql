create or replace function londiste.targets_of(i_nodes text[])
returns text[] as $$
-- ----------------------------------------------------------------------
-- Function: londiste.targets_of(1)
--
--      The targets of a row whose route gives a list of nodes. An empty list names no node, and the row must have an
--      event all the same, for the subscribers without a node, who get every row: its target is one that nobody is.
--
--      Simple enough to be inlined, and so written that the caller's search_path means nothing.
--
-- Parameters:  i_nodes - the list
-- Returns:     the list; NULL alone (every node) for NULL, " unrouted" alone for an empty one
-- Raises:      nothing
-- Locks taken: none
-- Called by:   capture functions of tables that are routed by lists, the statement that follows a new route
-- ----------------------------------------------------------------------
select case when i_nodes is null then array[null]::pg_catalog.text[]
            when pg_catalog.cardinality(i_nodes) operator(pg_catalog.=) 0 then array[' unrouted']::pg_catalog.text[]
            else i_nodes end;
$$ language sql immutable parallel safe;
