/*
 * option_values.h
 *		Options whose values are more than a number.
 */
#ifndef LLAMA2_OPTION_VALUES_H
#define LLAMA2_OPTION_VALUES_H

#include "server/options.h"
#include "utils/array.h"
#include "utils/jsonb.h"

/* Each reads the value of the option with its name; a Llama2ReadValue (option_table.h). */
extern void Llama2ReadStop(const char *name, const JsonbValue *value, Llama2Options *options);
extern void Llama2ReadLogitBias(const char *name, const JsonbValue *value, Llama2Options *options);
extern void Llama2ReadDryBreakers(const char *name, const JsonbValue *value, Llama2Options *options);
extern void Llama2ReadLogprobs(const char *name, const JsonbValue *value, Llama2Options *options);
extern void Llama2ReadFormat(const char *name, const JsonbValue *value, Llama2Options *options);
extern void Llama2ReadOnErrorOption(const char *name, const JsonbValue *value, Llama2Options *options);

/* Stop strings from an SQL array. */
extern void Llama2ReadStopArray(ArrayType *array, Llama2Options *options);

extern double Llama2JsonNumber(const JsonbValue *value, const char *name);

#endif							/* LLAMA2_OPTION_VALUES_H */
