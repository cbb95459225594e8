/*
 * row_schema.h
 *		A JSON schema for the rows of a composite type.
 */
#ifndef LLAMA2_ROW_SCHEMA_H
#define LLAMA2_ROW_SCHEMA_H

#include "postgres.h"

#include "grammar/json_tree.h"

/*
 * An object with a property for each column, in their order; palloc'd.  A column that may be null may be null.
 * Raises an error for a column whose type has no form in JSON.
 */
extern const LlmJson *Llama2RowSchema(Oid type);

#endif							/* LLAMA2_ROW_SCHEMA_H */
