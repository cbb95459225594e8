-- error_is(statement, SQLSTATE, message, detail, hint): throws_ok that sees all of an error.

CREATE FUNCTION pg_temp.error_is(statement text, state text, message text, detail text DEFAULT '', hint text DEFAULT '')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	got_state text;
	got_message text;
	got_detail text;
	got_hint text;
BEGIN
	BEGIN
		EXECUTE statement;
		got_state := 'no error';
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS got_state = RETURNED_SQLSTATE, got_message = MESSAGE_TEXT,
			got_detail = PG_EXCEPTION_DETAIL, got_hint = PG_EXCEPTION_HINT;
	END;
	RETURN is(concat_ws(E'\n', got_state, got_message, got_detail, got_hint),
			  concat_ws(E'\n', state, message, detail, hint), regexp_replace(left(statement, 100), '\s+', ' ', 'g'));
END
$$;
