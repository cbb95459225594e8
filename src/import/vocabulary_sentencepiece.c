/*
 * vocabulary_sentencepiece.c
 *		SentencePiece's tokenizer.model, a protocol buffer.
 */
#include "import/vocabulary_build.h"

#include <inttypes.h>
#include <stdlib.h>

#include "import/sentencepiece_model.pb-c.h"
#include "import/whole_file.h"

/* Llama 2's has 500 kB. */
#define MAX_FILE_BYTES (UINT64_C(32) << 20)

/* What a file may make the library claim: a piece of two bytes takes some 80. */
#define MAX_MEMORY (UINT64_C(512) << 20)

/* The model types of SentencePiece's TrainerSpec. */
#define MODEL_TYPE_BPE 2

typedef struct Budget
{
	uint64_t	left;
} Budget;

static bool read_model(ImportVocabulary *vocabulary, const Sentencepiece__ModelProto *model,
					   LlmError *error);
static bool check_model(const Sentencepiece__ModelProto *model, LlmError *error);
static int32_t known_id(const Sentencepiece__ModelProto *model, int32_t id);
static void *claim(void *arg, size_t size);
static void give_back(void *arg, void *memory);

bool
vocabulary_read_sentencepiece(ImportVocabulary *vocabulary, const char *path, LlmError *error)
{
	Budget		budget = {MAX_MEMORY};
	ProtobufCAllocator allocator = {claim, give_back, &budget};
	uint64_t	length;
	char	   *bytes = load_whole_file(path, MAX_FILE_BYTES, &length, error);
	Sentencepiece__ModelProto *model;
	bool		done;

	if (bytes == NULL)
		return false;
	model = sentencepiece__model_proto__unpack(&allocator, length, (const uint8_t *) bytes);
	if (model == NULL)
		done = llm_fail(error, LLM_ERROR_CORRUPT_FILE, "\"%s\" is not a SentencePiece model", path);
	else
		done = read_model(vocabulary, model, error);
	if (model != NULL)
		sentencepiece__model_proto__free_unpacked(model, &allocator);
	free(bytes);
	return done;
}

static bool
read_model(ImportVocabulary *vocabulary, const Sentencepiece__ModelProto *model, LlmError *error)
{
	Sentencepiece__ModelProto__TrainerSpec defaults =
	SENTENCEPIECE__MODEL_PROTO__TRAINER_SPEC__INIT;
	const Sentencepiece__ModelProto__TrainerSpec *trainer = model->trainer_spec ?
		model->trainer_spec : &defaults;

	if (!check_model(model, error))
		return false;
	for (size_t i = 0; i < model->n_pieces; i++)
	{
		const Sentencepiece__ModelProto__SentencePiece *piece = model->pieces[i];

		if (!vocabulary_put(vocabulary, (int64_t) i, (const char *) piece->piece.data,
							piece->piece.len,
							piece->score, (LlmPieceKind) piece->type, error))
			return false;
	}
	vocabulary->n_base = vocabulary->n_pieces;
	vocabulary->unknown_id = known_id(model, trainer->unk_id);
	vocabulary->bos_id = known_id(model, trainer->bos_id);
	vocabulary->eos_id = known_id(model, trainer->eos_id);
	if (model->normalizer_spec != NULL)
		vocabulary->add_space_prefix = model->normalizer_spec->add_dummy_prefix;
	return true;
}

/* Only what the tokenizer does: merges by score, spaces kept as they are. */
static bool
check_model(const Sentencepiece__ModelProto *model, LlmError *error)
{
	const Sentencepiece__ModelProto__NormalizerSpec *normalizer = model->normalizer_spec;
	int32_t		type = model->trainer_spec != NULL ? model->trainer_spec->model_type : 1;

	if (model->n_pieces == 0)
		return llm_fail(error, LLM_ERROR_CORRUPT_FILE, "SentencePiece model has no pieces");
	if (type != MODEL_TYPE_BPE)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"SentencePiece model is of type %" PRId32 ", not %d (BPE)", type, MODEL_TYPE_BPE);
	if (normalizer == NULL)
		return true;
	if (normalizer->precompiled_charsmap.len > 0)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"SentencePiece model normalizes characters, which Llama 2's does not");
	if (normalizer->remove_extra_whitespaces || !normalizer->escape_whitespaces)
		return llm_fail(error, LLM_ERROR_UNSUPPORTED,
						"SentencePiece model does not keep spaces, as Llama 2's does");
	return true;
}

static int32_t
known_id(const Sentencepiece__ModelProto *model, int32_t id)
{
	return id >= 0 && (size_t) id < model->n_pieces ? id : -1;
}

static void *
claim(void *arg, size_t size)
{
	Budget	   *budget = arg;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return malloc(size > 0 ? size : 1);
}

static void
give_back(void *arg, void *memory)
{
	(void) arg;
	free(memory);
}
