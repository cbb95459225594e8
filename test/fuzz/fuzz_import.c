/*
 * fuzz_import.c
 *		Feeds broken files to everything that llama2-import reads.
 *
 * An input is a byte that picks one of the files of a model in some form, and that file's bytes:
 * the others are as they should be.  Refusing and accepting are both right, but what
 * is accepted must be readable to the last weight.  Without libFuzzer it makes
 * FUZZ_RUNS (700) mutations of each file.
 */
#include <ctype.h>

#include "../import/small_source.h"
#include "import/json_file.h"
#include "import/pickle.h"
#include "import/progress.h"

#define FUZZ_OWN_MAIN
#include "standalone.h"

typedef enum Form
{
	FORM_HF,
	FORM_HF_JSON,				/* with tokenizer.json */
	FORM_META,
	FORM_LLAMA2C,
	N_FORMS
} Form;

/* What is broken, and where it matters most: the first so many bytes, or the last. */
static const struct
{
	Form		form;
	const char *file;
	size_t		first;
	size_t		last;
}			targets[] = {
	{FORM_HF, "config.json", 4096, 0},
	{FORM_HF, "model.safetensors", 3000, 0},
	{FORM_HF, "tokenizer.model", 0, 200},
	{FORM_HF, "added_tokens.json", 4096, 0},
	{FORM_HF, "tokenizer_config.json", 4096, 0},
	{FORM_HF, "model.safetensors.index.json", 4096, 0},
	{FORM_HF_JSON, "tokenizer.json", 400, 1200},
	{FORM_META, "params.json", 4096, 0},
	{FORM_META, "consolidated.00.pth", 60, 6000},
	{FORM_META, "pickle", 4096, 4096},
	{FORM_LLAMA2C, "model.bin", 40, 0},
	{FORM_LLAMA2C, "tokenizer.bin", 400, 100},
};

#define N_TARGETS ((int) (sizeof(targets) / sizeof(targets[0])))

/* More weights than the small model has are not read: the fuzzer has no use for the time. */
#define MAX_WEIGHTS (INT64_C(4) << 20)

static SmallSource *forms[N_FORMS];
static Bytes originals[N_TARGETS];
static uint64_t random_state = UINT64_C(88172645463325252);
static int	accepted;

static void prepare(void);
static Bytes read_small_file(const SmallSource *small, const char *name);
static Bytes read_pickle(const SmallSource *small);
static bool open_source(Form form);
static void read_weights(Source *source);
static bool visit(void *arg, const PickleTensor *tensor, LlmError *error);
static void mutate(int target, Bytes *out);
static void mutate_once(int target, Bytes *bytes);
static size_t pick_offset(int target, size_t size);
static void change_number(Bytes *bytes, size_t at);

static inline size_t
below(size_t limit)
{
	return limit > 0 ? fuzz_random(&random_state) % limit : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int			target = size > 0 ? data[0] % N_TARGETS : 0;
	Form		form = targets[target].form;
	LlmError	error = {0};

	if (forms[0] == NULL)
		prepare();
	if (size == 0)
		return 0;
	if (strcmp(targets[target].file, "pickle") == 0)
	{
		accepted = pickle_read_tensors(data + 1, size - 1, visit, NULL, &error);
		if (!accepted && error.message[0] == '\0')
			abort();
		return 0;
	}
	small_write(forms[form], targets[target].file, data + 1, size - 1);
	accepted = open_source(form);
	small_write(forms[form], targets[target].file, originals[target].data,
				originals[target].length);
	return 0;
}

static void
prepare(void)
{
	Bytes		json = small_tokenizer_json();
	char		index[64];
	Bytes		map = {0};

	notices_off();
	for (int form = 0; form < N_FORMS; form++)
		forms[form] = small_source_create();
	small_write_hf(forms[FORM_HF], "\"rms_norm_eps\": 1e-6, \"rope_theta\": 1000000.0, \"bos_token_id\": 1, "
				   "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0},");
	small_write_text(forms[FORM_HF], "added_tokens.json", "{\"<pad>\": 272, \"two words\": 273}");
	small_write_text(forms[FORM_HF], "tokenizer_config.json",
					 "{\"add_bos_token\": true, \"added_tokens_decoder\": "
					 "{\"0\": {\"content\": \"<unk>\", \"special\": true}, \"272\": {\"content\": \"<pad>\"}}}");
	bytes_put_text(&map, "{\"weight_map\": {\"lm_head.weight\": \"model.safetensors\"");
	for (int32_t layer = 0; layer < 2; layer++)
	{
		snprintf(index, sizeof(index), ", \"model.layers.%d.mlp.up_proj.weight\": \"model.safetensors\"", layer);
		bytes_put_text(&map, index);
	}
	bytes_put_text(&map, "}}");
	small_write(forms[FORM_HF], "model.safetensors.index.json", map.data, map.length);
	free(map.data);
	small_write_hf(forms[FORM_HF_JSON], "");
	unlink(small_path(forms[FORM_HF_JSON], "tokenizer.model"));
	small_write(forms[FORM_HF_JSON], "tokenizer.json", json.data, json.length);
	free(json.data);
	small_write_meta(forms[FORM_META], 1, false, "\"norm_eps\": 1e-05, \"rope_theta\": 10000.0,");
	small_write_llama2c(forms[FORM_LLAMA2C], 2, false);
	for (int i = 0; i < N_TARGETS; i++)
		originals[i] = strcmp(targets[i].file, "pickle") == 0 ? read_pickle(forms[FORM_META]) :
			read_small_file(forms[targets[i].form], targets[i].file);
}

static Bytes
read_small_file(const SmallSource *small, const char *name)
{
	FILE	   *file = fopen(small_path(small, name), "rb");
	Bytes		bytes = {0};
	int			byte;

	if (file == NULL)
		abort();
	while ((byte = getc(file)) != EOF)
		bytes_put_byte(&bytes, byte);
	fclose(file);
	return bytes;
}

static Bytes
read_pickle(const SmallSource *small)
{
	zip_t	   *archive = zip_open(small_path(small, "consolidated.00.pth"), ZIP_RDONLY, NULL);
	zip_file_t *member = archive != NULL ? zip_fopen(archive, "consolidated/data.pkl", 0) : NULL;
	Bytes		bytes = {0};
	uint8_t		buffer[4096];
	zip_int64_t got;

	if (member == NULL)
		abort();
	while ((got = zip_fread(member, buffer, sizeof(buffer))) > 0)
		bytes_put(&bytes, buffer, (size_t) got);
	zip_fclose(member);
	zip_discard(archive);
	return bytes;
}

/* Whatever is refused is refused with a message. */
static bool
open_source(Form form)
{
	LlmError	error = {0};
	const char *path = form == FORM_LLAMA2C ? small_path(forms[form], "model.bin") :
		forms[form]->folder;
	Source	   *source = source_open(path, NULL, &error);

	if (source == NULL)
	{
		if (error.code == LLM_OK || error.message[0] == '\0')
			abort();
		return false;
	}
	if (source->config.n_weights <= MAX_WEIGHTS)
		read_weights(source);
	source_close(source);
	return true;
}

static void
read_weights(Source *source)
{
	for (int32_t i = 0; i < source->n_tensors; i++)
	{
		const SourceTensor *tensor = &source->tensors[i];
		float	   *weights = malloc(sizeof(float) * (size_t) (tensor->rows * tensor->cols));
		LlmError	error = {0};

		if (weights == NULL)
			abort();
		if (!source_read_rows(source, tensor, 0, tensor->rows, weights, &error) &&
			error.message[0] == '\0')
			abort();
		free(weights);
	}
}

static bool
visit(void *arg, const PickleTensor *tensor, LlmError *error)
{
	uint32_t	sum = 0;

	(void) arg;
	(void) error;
	for (uint32_t i = 0; i < tensor->name_length; i++)
		sum += (uint8_t) tensor->name[i];
	for (uint32_t i = 0; i < tensor->storage_length; i++)
		sum += (uint8_t) tensor->storage[i];
	return sum != 1 && llm_tensor_type_info(tensor->type) != NULL;
}

__attribute__((weak))
int
main(int argc, char **argv)
{
	const char *runs = getenv("FUZZ_RUNS");
	long		n_runs = runs != NULL ? strtol(runs, NULL, 10) : 700;
	Bytes		input = {0};

	prepare();
	for (int i = 1; i < argc; i++)
		ok(fuzz_file(argv[i]), "%s", argv[i]);
	for (int target = 0; target < N_TARGETS && argc == 1; target++)
	{
		long		n_accepted = 0;

		for (long run = 0; run < n_runs; run++)
		{
			input.length = 0;
			bytes_put_byte(&input, target);
			/* The first is the file as it should be. */
			if (run == 0)
				bytes_put(&input, originals[target].data, originals[target].length);
			else
				mutate(target, &input);
			fuzz_one(input.data, input.length);
			if (run == 0)
				ok(accepted, "%s is accepted", targets[target].file);
			n_accepted += accepted;
		}
		ok(true, "%ld mutations of %s: %ld refused, %ld accepted, no crash", n_runs,
		   targets[target].file,
		   n_runs - n_accepted, n_accepted);
	}
	free(input.data);
	for (int i = 0; i < N_TARGETS; i++)
		free(originals[i].data);
	for (int i = 0; i < N_FORMS; i++)
		small_source_free(forms[i]);
	return done_testing();
}

/* One to four changes, or a cut, or bytes added, after what is in *out. */
static void
mutate(int target, Bytes *out)
{
	const Bytes *original = &originals[target];
	Bytes		bytes = {0};

	bytes_put(&bytes, original->data, original->length);
	switch (below(16))
	{
		case 0:
			bytes.length = below(bytes.length);
			break;
		case 1:
			for (size_t n = below(300); n > 0; n--)
				bytes_put_byte(&bytes, (int) below(256));
			break;
		default:
			for (size_t n = 1 + below(4); n > 0; n--)
				mutate_once(target, &bytes);
	}
	bytes_put(out, bytes.data, bytes.length);
	free(bytes.data);
}

static void
mutate_once(int target, Bytes *bytes)
{
	static const uint64_t words[] = {
		0, 1, 2, 31, 255, 65537, INT32_MAX, UINT64_C(1) << 31, UINT32_MAX, UINT64_C(1) << 32,
		UINT64_C(1) << 61, INT64_MAX, UINT64_C(1) << 63, UINT64_MAX
	};
	size_t		at = pick_offset(target, bytes->length);
	size_t		from = pick_offset(target, bytes->length);
	size_t		n = 1 + below(24);
	size_t		width = below(2) ? 4 : 8;

	if (bytes->length < 32)
		return;
	switch (below(6))
	{
		case 0:
			bytes->data[at] ^= (uint8_t) (1 << below(8));
			break;
		case 1:
			bytes->data[at] = (uint8_t) below(256);
			break;
		case 2:
			/* A piece of the file somewhere else: over what is there, or put between. */
			if (at + n <= bytes->length && from + n <= bytes->length)
				memmove(bytes->data + at, bytes->data + from, n);
			break;
		case 3:
			if (at + n <= bytes->length)
			{
				memmove(bytes->data + at, bytes->data + at + n, bytes->length - at - n);
				bytes->length -= n;
			}
			break;
		case 4:
			change_number(bytes, at);
			break;
		default:
			if (at + width <= bytes->length)
				memcpy(bytes->data + at, &words[below(sizeof(words) / sizeof(words[0]))], width);
	}
}

static size_t
pick_offset(int target, size_t size)
{
	size_t		first = targets[target].first < size ? targets[target].first : size;
	size_t		last = targets[target].last < size ? targets[target].last : size;

	if (size == 0)
		return 0;
	switch (below(8))
	{
		case 0:
			return below(size);
		case 1:
		case 2:
		case 3:
			return first > 0 ? below(first) : size - 1 - below(last);
		default:
			return last > 0 ? size - 1 - below(last) : below(first);
	}
}

/* The next number in a text becomes another, of any length. */
static void
change_number(Bytes *bytes, size_t at)
{
	static const char *const numbers[] = {
		"0", "-1", "1", "2147483648", "9223372036854775807", "99999999999999999999", "1e400", "0.5", "null", "[]", "{}",
		"\"a\""
	};
	const char *number = numbers[below(sizeof(numbers) / sizeof(numbers[0]))];
	Bytes		changed = {0};
	size_t		end;

	while (at < bytes->length && !isdigit(bytes->data[at]))
		at++;
	for (end = at; end < bytes->length && isdigit(bytes->data[end]);)
		end++;
	bytes_put(&changed, bytes->data, at);
	bytes_put_text(&changed, number);
	bytes_put(&changed, bytes->data + end, bytes->length - end);
	free(bytes->data);
	*bytes = changed;
}
