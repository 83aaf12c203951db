create or replace function londiste.text_needs(i_rel regclass, i_setting text)
returns boolean as $$
-- ----------------------------------------------------------------------
-- Function: londiste.text_needs(2)
--
--      Whether the text of a row depends on a setting.
--
--      Marked IMMUTABLE for the reason given in londiste.columns_of.
--
-- Parameters:  i_rel     - the table
--              i_setting - name of the setting, see londiste.text_settings
-- Returns:     false when the setting does not matter
-- Raises:      40001, see londiste.live_columns
-- Locks taken: none
-- Called by:   capture functions
-- ----------------------------------------------------------------------
begin
    return i_setting = any (londiste.text_settings(i_rel));
end;
$$ language plpgsql immutable set search_path = pg_catalog, pg_temp;
