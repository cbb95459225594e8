/*
 * schema_rewrite.h
 *		Schemas that we make ourselves, of parts of the given one.  Private to grammar/schema*.c.
 *
 * A part is never copied but stands in for itself (LLM_MADE_SAME), so that what is known by its address stays
 * known.  Lists are made from their end to their beginning.
 */
#ifndef LLM_SCHEMA_REWRITE_H
#define LLM_SCHEMA_REWRITE_H

#include "grammar/schema.h"

/* A value; in errors it has the place of another. */
extern LlmJson *llm_made(LlmSchemaCompiler *compiler, LlmJsonKind kind, const LlmJson *place);
extern LlmJson *llm_made_text(LlmSchemaCompiler *compiler, const char *text, size_t length, const LlmJson *place);
extern LlmJson *llm_made_number(LlmSchemaCompiler *compiler, int value, const LlmJson *place);
extern LlmJson *llm_made_copy(LlmSchemaCompiler *compiler, const LlmJson *value);

/* Put it before the other children; the name is kept, not copied. */
extern void llm_made_put(LlmJson *object, const char *name, size_t length, LlmJson *child);
extern void llm_made_keyword(LlmJson *schema, const char *name, LlmJson *child);
extern void llm_made_push(LlmJson *array, LlmJson *child);

extern LlmJson *llm_made_same(LlmSchemaCompiler *compiler, const LlmJson *schema);
extern LlmJson *llm_made_not(LlmSchemaCompiler *compiler, const LlmJson *schema);

/* {"required": [name]}, {"properties": {name: schema}} */
extern LlmJson *llm_made_required(LlmSchemaCompiler *compiler, const char *name, size_t length, const LlmJson *place);
extern LlmJson *llm_made_property(LlmSchemaCompiler *compiler, const char *name, size_t length, LlmJson *schema);

extern const LlmJson *llm_rewrite_find(const LlmSchemaCompiler *compiler, const LlmJson *schema, const void *of);
extern const LlmJson *llm_rewrite_keep(LlmSchemaCompiler *compiler, const LlmJson *schema, const void *of, const LlmJson *made);

#endif							/* LLM_SCHEMA_REWRITE_H */
