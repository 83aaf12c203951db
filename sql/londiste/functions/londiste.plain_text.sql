create or replace function londiste.plain_text(i_rel regclass)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.plain_text(1)
--
--      Whether the text of a row depends on nothing but the settings that can be set back to what every capture takes
--      for granted; lc_monetary and search_path must be pinned otherwise, see londiste.text_settings.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel - the table
-- Returns:     false when lc_monetary and search_path must be pinned for its rows
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return not londiste.text_settings(i_rel) && array['lc_monetary', 'search_path'];
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
