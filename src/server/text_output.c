/*
 * text_output.c
 *		Tokens to text in the database's encoding, whole or piece by piece.
 */
#include "server/text_output.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "shared/compat.h"

static char *utf8_to_server(const char *bytes, size_t length, size_t *converted_length);

void
Llama2TextBegin(Llama2TextOutput *output, const LlmVocabulary *vocabulary, bool strip_space)
{
	memset(output, 0, sizeof(*output));
	output->vocabulary = vocabulary;
	output->strip_space = strip_space;
	output->is_first = true;
	initStringInfo(&output->held);
}

void
Llama2TextAddToken(Llama2TextOutput *output, int32 token)
{
	enlargeStringInfo(&output->held, llm_vocabulary_max_token_bytes(output->vocabulary));
	output->held.len += llm_token_bytes(output->vocabulary, token,
										output->strip_space && output->is_first,
										output->held.data + output->held.len);
	output->is_first = false;
}

text *
Llama2TextRelease(Llama2TextOutput *output, uint32 certain_bytes, bool at_end)
{
	uint32		n = certain_bytes > output->n_released ? certain_bytes - output->n_released : 0;
	char	   *utf8;
	size_t		length;
	text	   *result;

	n = Min(n, (uint32) output->held.len);
	utf8 = palloc(3 * ((size_t) n + 4) + 4);
	length = llm_utf8_push(&output->utf8, output->held.data, n, utf8);
	if (at_end)
		length += llm_utf8_finish(&output->utf8, utf8 + length);
	memmove(output->held.data, output->held.data + n, output->held.len - n);
	output->held.len -= n;
	output->n_released += n;

	result = Llama2TextFromUtf8(utf8, length);
	pfree(utf8);
	return result;
}

text *
Llama2TextFromUtf8(const char *bytes, size_t length)
{
	size_t		converted_length;
	char	   *converted;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return cstring_to_text_with_len(bytes, length);
	converted = utf8_to_server(bytes, length, &converted_length);
	return cstring_to_text_with_len(converted, converted_length);
}

const char *
Llama2Utf8FromText(text *value, size_t *length)
{
	char	   *bytes = VARDATA_ANY(value);
	char	   *utf8;

	*length = VARSIZE_ANY_EXHDR(value);
	utf8 = pg_server_to_any(bytes, *length, PG_UTF8);
	if (utf8 != bytes)
		*length = strlen(utf8);
	return utf8;
}

/*
 * A model may write characters that the database's encoding lacks: an error
 * would lose the whole answer, so that each becomes a question mark.
 */
static char *
utf8_to_server(const char *bytes, size_t length, size_t *converted_length)
{
	int			encoding = GetDatabaseEncoding();
	Oid			conversion = FindDefaultConversionProc(PG_UTF8, encoding);
	StringInfoData converted;

	initStringInfo(&converted);
	for (size_t i = 0; i < length;)
	{
		int			n = pg_utf_mblen((const unsigned char *) bytes + i);
		unsigned char character[MAX_CONVERSION_GROWTH * 4 + 1];
		unsigned char one[8] = {0};

		n = Min((size_t) n, length - i);
		memcpy(one, bytes + i, n);
		if (!IS_HIGHBIT_SET(one[0]))
			appendStringInfoChar(&converted, (char) one[0]);
		else if (OidIsValid(conversion) &&
				 pg_do_encoding_conversion_buf(conversion, PG_UTF8, encoding, one, n,
											   character, sizeof(character), true) == n)
			appendStringInfoString(&converted, (char *) character);
		else
			appendStringInfoChar(&converted, '?');
		i += n;
	}
	*converted_length = converted.len;
	return converted.data;
}
