/*
 * template.c
 *		Prompt templates: text with {column} places.
 */
#include "server/template.h"

#include "lib/stringinfo.h"

#include "shared/compat.h"

pg_noreturn static void malformed(const char *source, const char *problem);

Llama2Template *
Llama2TemplateParse(const char *source)
{
	Llama2Template *template = palloc0(sizeof(Llama2Template));
	size_t		most = strlen(source) / 2 + 2;
	StringInfoData literal;

	template->literals = palloc(sizeof(char *) * most);
	template->names = palloc(sizeof(char *) * most);
	initStringInfo(&literal);
	for (const char *p = source; *p; p++)
	{
		const char *end;

		if ((*p == '{' || *p == '}') && p[1] == *p)
			appendStringInfoChar(&literal, *p++);
		else if (*p == '}')
			malformed(source, "A \"}\" closes nothing.");
		else if (*p == '{')
		{
			end = strpbrk(p + 1, "{}");
			if (end == NULL || *end == '{')
				malformed(source, "A \"{\" is not closed.");
			if (end == p + 1)
				malformed(source, "A place names no column.");
			template->literals[template->n_places] = pstrdup(literal.data);
			template->names[template->n_places++] = pnstrdup(p + 1, end - p - 1);
			resetStringInfo(&literal);
			p = end;
		}
		else
			appendStringInfoChar(&literal, *p);
	}
	if (template->n_places == 0)
		malformed(source, "It has no {column} place.");
	template->literals[template->n_places] = literal.data;
	return template;
}

char *
Llama2TemplateRender(const Llama2Template *template, char *const *values)
{
	StringInfoData text;

	for (int i = 0; i < template->n_places; i++)
		if (values[i] == NULL)
			return NULL;
	initStringInfo(&text);
	for (int i = 0; i < template->n_places; i++)
	{
		appendStringInfoString(&text, template->literals[i]);
		appendStringInfoString(&text, values[i]);
	}
	appendStringInfoString(&text, template->literals[template->n_places]);
	return text.data;
}

static void
malformed(const char *source, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("malformed prompt template \"%s\"", source),
			 errdetail("%s", problem),
			 errhint("Write {column} for a column's value, and {{ or }} for a brace.")));
}
