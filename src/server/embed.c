/*
 * embed.c
 *		llama2_embed and llama2_similarity: texts as vectors.
 *
 * A text's vector is made of the model's final states of all its tokens, BOS among them, as
 * llama.cpp does it with a model that was not trained to embed.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "server/batch_function.h"
#include "shared/compat.h"

PG_FUNCTION_INFO_V1(llama2_embed);
PG_FUNCTION_INFO_V1(llama2_embed_array);
PG_FUNCTION_INFO_V1(llama2_similarity);
PG_FUNCTION_INFO_V1(llama2_similarity_vectors);

static Datum put_vectors(FunctionCallInfo fcinfo, Llama2Work *work);
static void begin_embeddings(FunctionCallInfo fcinfo, Llama2Work *work, int model_argument, int n_texts);
static ArrayType *vector_to_array(const Llama2Work *work, int number);
static const float *array_to_vector(ArrayType *array, int *n);
static double cosine(const float *a, int n_a, const float *b, int n_b);

Datum
llama2_embed(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareEmbed, Llama2AnswerEmbed);
}

/* A row for each text of an array, in its order; all are one batch. */
Datum
llama2_embed_array(PG_FUNCTION_ARGS)
{
	Llama2RequirePreload();
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	return Llama2CallAlone(fcinfo, Llama2PrepareEmbedArray, put_vectors);
}

Datum
llama2_similarity(PG_FUNCTION_ARGS)
{
	return Llama2CallAlone(fcinfo, Llama2PrepareSimilarity, Llama2AnswerSimilarity);
}

Datum
llama2_similarity_vectors(PG_FUNCTION_ARGS)
{
	int			n_a;
	int			n_b;
	const float *a = array_to_vector(PG_GETARG_ARRAYTYPE_P(0), &n_a);
	const float *b = array_to_vector(PG_GETARG_ARRAYTYPE_P(1), &n_b);

	PG_RETURN_FLOAT8(cosine(a, n_a, b, n_b));
}

/* Arguments: text, model, options. */
bool
Llama2PrepareEmbed(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (PG_ARGISNULL(0))
		return false;
	begin_embeddings(fcinfo, work, 1, 1);
	Llama2Ask(work, 0, LLAMA2_PROMPT_TO_EMBED, PG_GETARG_DATUM(0));
	return true;
}

Datum
Llama2AnswerEmbed(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (!Llama2IsAnswered(work, 0))
		PG_RETURN_NULL();
	PG_RETURN_ARRAYTYPE_P(vector_to_array(work, 0));
}

/* Arguments: two texts, model, options. */
bool
Llama2PrepareSimilarity(FunctionCallInfo fcinfo, Llama2Work *work)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return false;
	begin_embeddings(fcinfo, work, 2, 2);
	for (int i = 0; i < 2; i++)
		Llama2Ask(work, i, LLAMA2_PROMPT_TO_EMBED, PG_GETARG_DATUM(i));
	return true;
}

Datum
Llama2AnswerSimilarity(FunctionCallInfo fcinfo, Llama2Work *work)
{
	bool		answered = Llama2IsAnswered(work, 0);
	const float *a;
	const float *b;
	int			n_a;
	int			n_b;

	if (!Llama2IsAnswered(work, 1) || !answered)
		PG_RETURN_NULL();
	a = Llama2RequestVector(work->questions[0].request, &n_a);
	b = Llama2RequestVector(work->questions[1].request, &n_b);
	PG_RETURN_FLOAT8(cosine(a, n_a, b, n_b));
}

/* Arguments: texts, model, options. */
bool
Llama2PrepareEmbedArray(FunctionCallInfo fcinfo, Llama2Work *work)
{
	Datum	   *texts;
	bool	   *nulls;
	int			n_texts;

	if (PG_ARGISNULL(0))
		return false;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &texts, &nulls, &n_texts);
	begin_embeddings(fcinfo, work, 1, n_texts);
	for (int i = 0; i < n_texts; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			Llama2Ask(work, i, LLAMA2_PROMPT_TO_EMBED, texts[i]);
	}
	return true;
}

static Datum
put_vectors(FunctionCallInfo fcinfo, Llama2Work *work)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	for (int i = 0; i < work->n_questions; i++)
	{
		Datum		value = (Datum) 0;
		bool		is_null = !Llama2IsAnswered(work, i);

		if (!is_null)
			value = PointerGetDatum(vector_to_array(work, i));
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &is_null);
		if (!is_null)
			pfree(DatumGetPointer(value));
	}
	PG_RETURN_NULL();
}

/* Options come after the model. */
static void
begin_embeddings(FunctionCallInfo fcinfo, Llama2Work *work, int model_argument, int n_texts)
{
	Llama2RequirePreload();
	Llama2ReadEmbedOptions(fcinfo, model_argument + 1, &work->call.options);
	work->kind = LLM_EMBED;
	work->call.model = Llama2UseModel(Llama2StringArgument(fcinfo, model_argument));
	Llama2WorkAllocate(work, n_texts);
}

static ArrayType *
vector_to_array(const Llama2Work *work, int number)
{
	int			n;
	const float *vector = Llama2RequestVector(work->questions[number].request, &n);
	Size		bytes = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * n;
	ArrayType  *array = palloc0(bytes);

	SET_VARSIZE(array, bytes);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), vector, sizeof(float4) * n);
	return array;
}

static const float *
array_to_vector(ArrayType *array, int *n)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a vector must be a one-dimensional array")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a vector must not contain nulls")));
	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (const float *) ARR_DATA_PTR(array);
}

/* NaN where one has no direction.  Of equal vectors exactly 1, and the same for (a, b) as for (b, a). */
static double
cosine(const float *a, int n_a, const float *b, int n_b)
{
	double		product = 0;
	double		a_squares = 0;
	double		b_squares = 0;
	double		value;

	if (n_a != n_b)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("vectors have different numbers of dimensions, %d and %d", n_a, n_b)));
	for (int i = 0; i < n_a; i++)
	{
		product += (double) a[i] * b[i];
		a_squares += (double) a[i] * a[i];
		b_squares += (double) b[i] * b[i];
	}
	value = product / sqrt(a_squares * b_squares);
	return value > 1 ? 1 : value < -1 ? -1 : value;
}
