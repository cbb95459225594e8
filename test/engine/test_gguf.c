/*
 * test_gguf.c
 *		The GGUF reader: every kind of value, and every way for a file to be wrong.
 */
#define _GNU_SOURCE
#include "engine/gguf.h"

#include <math.h>

#include "gguf_builder.h"
#include "tap.h"

/* Opening must fail with this code and a message that contains text. */
static void
refused(const char *path, LlmErrorCode code, const char *text, const char *what)
{
	LlmError	error = {0};
	LlmGguf    *gguf = llm_gguf_open(path, &error);
	bool		as_wanted = gguf == NULL && error.code == code && strstr(error.message,
																		 text) != NULL;

	if (!ok(as_wanted, "refused: %s", what))
		diag("%s, code %d: %s", gguf ? "opened" : "refused", error.code, error.message);
	llm_gguf_close(gguf);
}

static GgufBuilder *
some_file(void)
{
	GgufBuilder *builder = builder_create();

	builder_string(builder, "general.architecture", "llama");
	builder_tensor(builder, "first", LLM_F32, 8, 3);
	builder_tensor(builder, "second", LLM_Q4_0, 64, 5);
	return builder;
}

static void
refused_build(GgufBuilder *builder, LlmErrorCode code, const char *text, const char *what)
{
	refused(gguf_build(builder), code, text, what);
	builder_free(builder);
}

static void
test_values(void)
{
	GgufBuilder *builder = some_file();
	LlmError	error = {0};
	LlmGguf    *gguf;
	int64_t		integer = 0;
	double		number = 0;
	bool		truth = false;
	LlmGgufString string = {0};
	int64_t		count;
	double		pi = 3.141592653589793;
	float		floats[3] = {1.5f, -2.0f, INFINITY};
	float		floats_back[3];
	int32_t		ints[2] = {-7, 2147483647};
	int32_t		ints_back[2];
	GgufBytes  *nested;
	const LlmGgufTensor *tensor;

	bytes_add(builder_key(builder, "u8", 0), "\xFF", 1);
	bytes_add(builder_key(builder, "i8", 1), "\xFF", 1);
	bytes_add(builder_key(builder, "u16", 2), "\xFE\xFF", 2);
	bytes_add(builder_key(builder, "i16", 3), "\xFE\xFF", 2);
	bytes_add_u32(builder_key(builder, "u32", 4), 4000000000u);
	bytes_add_u32(builder_key(builder, "i32", 5), (uint32_t) -5);
	builder_float(builder, "f32", 0.25f);
	bytes_add(builder_key(builder, "yes", 7), "\1", 1);
	bytes_add_u64(builder_key(builder, "u64", 10), UINT64_C(1) << 62);
	bytes_add_u64(builder_key(builder, "u64 large", 10), UINT64_MAX);
	bytes_add_u64(builder_key(builder, "i64", 11), (uint64_t) -9);
	bytes_add(builder_key(builder, "f64", 12), &pi, 8);
	bytes_add(builder_array(builder, "floats", 6, 3), floats, sizeof(floats));
	bytes_add(builder_array(builder, "ints", 5, 2), ints, sizeof(ints));
	bytes_add(builder_array(builder, "bytes", 0, 2), "\x01\xFF", 2);
	bytes_add_u64(builder_array(builder, "wide", 10, 1), UINT64_C(1) << 40);
	bytes_add(builder_array(builder, "doubles", 12, 1), &pi, 8);
	builder_array(builder, "empty", 8, 0);
	nested = builder_array(builder, "strings", 8, 2);
	bytes_add_string(nested, "one");
	bytes_add_string(nested, "");
	nested = builder_array(builder, "nested", 9, 2);
	bytes_add_u32(nested, 8);
	bytes_add_u64(nested, 1);
	bytes_add_string(nested, "inner");
	bytes_add_u32(nested, 0);
	bytes_add_u64(nested, 0);

	gguf = llm_gguf_open(gguf_build(builder), &error);
	if (!ok(gguf != NULL, "a file with every kind of value opens"))
	{
		diag("%s", error.message);
		builder_free(builder);
		return;
	}
	ok(llm_gguf_get_int(gguf, "u8", &integer) && integer == 255, "uint8");
	ok(llm_gguf_get_int(gguf, "i8", &integer) && integer == -1, "int8");
	ok(llm_gguf_get_int(gguf, "u16", &integer) && integer == 65534, "uint16");
	ok(llm_gguf_get_int(gguf, "i16", &integer) && integer == -2, "int16");
	ok(llm_gguf_get_int(gguf, "u32", &integer) && integer == 4000000000, "uint32");
	ok(llm_gguf_get_int(gguf, "i32", &integer) && integer == -5, "int32");
	ok(llm_gguf_get_int(gguf, "u64", &integer) && integer == INT64_C(1) << 62, "uint64");
	ok(!llm_gguf_get_int(gguf, "u64 large", &integer), "a uint64 that int64 cannot hold");
	ok(llm_gguf_get_int(gguf, "i64", &integer) && integer == -9, "int64");
	ok(llm_gguf_get_float(gguf, "f32", &number) && number == 0.25, "float32");
	ok(llm_gguf_get_float(gguf, "f64", &number) && number == pi, "float64");
	ok(llm_gguf_get_bool(gguf, "yes", &truth) && truth, "bool");
	ok(llm_gguf_get_string(gguf, "general.architecture", &string) && string.length == 5 &&
	   memcmp(string.bytes, "llama", 5) == 0, "string");
	ok(!llm_gguf_get_int(gguf, "f32", &integer) && !llm_gguf_get_int(gguf, "yes", &integer) &&
	   !llm_gguf_get_float(gguf, "u8", &number) && !llm_gguf_get_bool(gguf, "u8", &truth) &&
	   !llm_gguf_get_string(gguf, "u8", &string), "a value of another kind is not taken");
	ok(llm_gguf_has_key(gguf, "nested") && !llm_gguf_has_key(gguf, "absent") &&
	   !llm_gguf_get_int(gguf, "absent", &integer), "absent keys");

	ok(llm_gguf_get_float_array(gguf, "floats", NULL, &count) && count == 3 &&
	   llm_gguf_get_float_array(gguf, "floats", floats_back, &count) &&
	   memcmp(floats, floats_back, sizeof(floats)) == 0, "array of float32");
	ok(llm_gguf_get_float_array(gguf, "doubles", floats_back, &count) && count == 1 &&
	   floats_back[0] == (float) pi, "array of float64");
	ok(llm_gguf_get_int_array(gguf, "ints", ints_back, &count) && count == 2 &&
	   memcmp(ints, ints_back, sizeof(ints)) == 0, "array of int32");
	ok(llm_gguf_get_int_array(gguf, "bytes", ints_back, &count) && count == 2 &&
	   ints_back[1] == 255,
	   "array of uint8");
	ok(!llm_gguf_get_int_array(gguf, "wide", NULL, &count), "an item that int32 cannot hold");
	ok(!llm_gguf_get_int_array(gguf, "floats", NULL, &count) &&
	   !llm_gguf_get_float_array(gguf, "ints", NULL, &count) &&
	   llm_gguf_string_array_count(gguf, "ints") == -1 &&
	   llm_gguf_string_array_count(gguf, "u8") == -1, "arrays of another kind are not taken");
	ok(llm_gguf_string_array_count(gguf, "strings") == 2 &&
	   llm_gguf_string_array_item(gguf, "strings", 0).length == 3 &&
	   memcmp(llm_gguf_string_array_item(gguf, "strings", 0).bytes, "one", 3) == 0 &&
	   llm_gguf_string_array_item(gguf, "strings", 1).length == 0 &&
	   llm_gguf_string_array_item(gguf, "strings", 2).length == 0, "array of strings");
	ok(llm_gguf_string_array_count(gguf, "empty") == 0, "empty array");

	ok(llm_gguf_version(gguf) == 3 && llm_gguf_n_tensors(gguf) == 2 &&
	   llm_gguf_file_size(gguf) == builder->file.length, "version, tensors and size");
	tensor = llm_gguf_find_tensor(gguf, "second");
	ok(tensor == llm_gguf_tensor(gguf, 1) && tensor->type == LLM_Q4_0 && tensor->n_dims == 2 &&
	   tensor->dims[0] == 64 && tensor->dims[1] == 5 && tensor->dims[2] == 1 && tensor->dims[3] == 1 &&
	   tensor->n_bytes == 180 && tensor->file_offset == builder->data_offset + 96, "tensor entry");
	ok(llm_gguf_find_tensor(gguf, "third") == NULL, "absent tensor");

	ok(llm_gguf_check_unchanged(gguf, &error), "file is unchanged");
	if (ftruncate(builder->descriptor, 100) != 0)
		abort();
	ok(!llm_gguf_check_unchanged(gguf, &error), "a file cut short is noticed");
	ok(!llm_gguf_read(gguf, 90, floats_back, 12, &error) && error.code == LLM_ERROR_CORRUPT_FILE,
	   "reading beyond the cut fails");
	llm_gguf_close(gguf);
	builder_free(builder);
}

static void
test_accepted(void)
{
	GgufBuilder *builder = some_file();
	LlmError	error = {0};
	LlmGguf    *gguf;

	builder->version = 2;
	builder->alignment = 8;
	builder_int(builder, "general.alignment", 8);
	gguf = llm_gguf_open(gguf_build(builder), &error);
	ok(gguf != NULL && llm_gguf_version(gguf) == 2 &&
	   llm_gguf_tensor(gguf, 0)->file_offset == builder->data_offset, "version 2, alignment 8");
	llm_gguf_close(gguf);
	builder_free(builder);

	builder = builder_create();
	gguf = llm_gguf_open(gguf_build(builder), &error);
	ok(gguf != NULL && llm_gguf_n_tensors(gguf) == 0 && llm_gguf_find_tensor(gguf, "x") == NULL &&
	   !llm_gguf_has_key(gguf, "x"), "a file with nothing in it");
	llm_gguf_close(gguf);
	builder_free(builder);
}

static void
test_preamble(void)
{
	GgufBuilder *builder = some_file();

	refused("/nowhere/at all", LLM_ERROR_FILE_ACCESS, "could not open the file: No such file",
			"no such file");
	refused("/", LLM_ERROR_UNSUPPORTED, "not a regular file", "a directory");
	refused("/dev/null", LLM_ERROR_UNSUPPORTED, "not a regular file", "a device");

	builder->version = 1;
	refused(gguf_build(builder), LLM_ERROR_UNSUPPORTED, "GGUF version 1", "version 1");
	builder->version = 4;
	refused(gguf_build(builder), LLM_ERROR_UNSUPPORTED, "GGUF version 4", "version 4");
	builder->version = 0x03000000;
	refused(gguf_build(builder), LLM_ERROR_UNSUPPORTED, "big-endian", "a big-endian file");
	builder->version = 3;
	gguf_build(builder);
	memcpy(builder->file.data, "PK\3\4", 4);
	refused(builder_write(builder), LLM_ERROR_CORRUPT_FILE, "not a GGUF file", "a zip archive");
	builder->file.length = 0;
	refused(builder_write(builder), LLM_ERROR_CORRUPT_FILE, "file of 0 bytes", "an empty file");
	gguf_build(builder);
	for (uint64_t n_tensors = UINT64_MAX; n_tensors > 1000; n_tensors >>= 21)
	{
		memcpy(builder->file.data + 8, &n_tensors, 8);
		refused(builder_write(builder), LLM_ERROR_CORRUPT_FILE, "tensors it declares",
				"many tensors");
	}
	gguf_build(builder);
	memset(builder->file.data + 16, 0x7F, 8);
	refused(builder_write(builder), LLM_ERROR_CORRUPT_FILE, "keys it declares", "many keys");
	builder_free(builder);
}

static void
test_keys(void)
{
	GgufBuilder *builder;
	GgufBytes  *entry;

	builder = some_file();
	bytes_add_u32(builder_key(builder, "odd", 13), 0);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "key \"odd\" has a value of unknown kind 13",
				  "unknown kind");

	builder = some_file();
	bytes_add(builder_key(builder, "truth", 7), "\2", 1);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "boolean key \"truth\" is 2",
				  "a bool that is 2");

	builder = some_file();
	bytes_add_u64(builder_key(builder, "text", 8), UINT64_MAX - 3);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "ends within its header",
				  "a string of 2^64 bytes");

	builder = some_file();
	builder_array(builder, "items", 12, UINT64_C(1) << 61);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "ends within its header",
				  "an array whose size overflows");

	builder = some_file();
	builder_array(builder, "items", 8, 1 << 20);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "ends within its header",
				  "an array of too many strings");

	builder = some_file();
	builder_array(builder, "items", 77, 1);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "items of unknown kind 77",
				  "an array of an unknown kind");

	builder = some_file();
	entry = builder_array(builder, "deep", 9, 1);
	for (int i = 0; i < 1000; i++)
	{
		bytes_add_u32(entry, 9);
		bytes_add_u64(entry, 1);
	}
	refused_build(builder, LLM_ERROR_LIMIT, "nested deeper than 8", "arrays nested 1000 levels");

	builder = some_file();
	builder_int(builder, "other.architecture__", 1);
	memcpy(builder->keys[1].name, "general.architecture", 20);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "key \"general.architecture\" is there twice",
				  "a key twice");

	builder = some_file();
	builder_int(builder, "", 1);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "name of key 1 has 0 bytes",
				  "a key without a name");

	for (int i = 0; i < 4; i++)
	{
		static const uint32_t bad[] = {0, 4, 24, 1u << 31};

		builder = some_file();
		builder_int(builder, "general.alignment", bad[i]);
		refused_build(builder, LLM_ERROR_CORRUPT_FILE, "not a power of two", "a bad alignment");
	}
	builder = some_file();
	builder_string(builder, "general.alignment", "32");
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "not an integer",
				  "an alignment that is a string");
}

static void
test_tensors(void)
{
	GgufBuilder *builder;

	builder = some_file();
	builder_tensor(builder, "odd\n\xC3\xBC", 16, 256, 1);
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "tensor \"odd???\" has the unsupported type 16",
				  "an unknown type");

	builder = some_file();
	builder_tensor(builder, "huge", UINT32_MAX, 256, 1);
	refused_build(builder, LLM_ERROR_UNSUPPORTED, "type 4294967295", "type 2^32 - 1");

	builder = some_file();
	builder_tensor(builder, "ragged", LLM_Q4_0, 33, 1);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "rows of 33 weights",
				  "a row that is not a multiple of the block");

	builder = some_file();
	builder_tensor(builder, "wide", LLM_F32, UINT64_C(1) << 40, UINT64_C(1) << 40);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "dimension 1 of tensor \"wide\"",
				  "dimensions that overflow");

	builder = some_file();
	builder_tensor(builder, "wide", LLM_F32, UINT64_C(1) << 62, 1);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "more than a file can hold",
				  "bytes that overflow");

	builder = some_file();
	builder_tensor(builder, "none", LLM_F32, 0, 1);
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "dimension 0 of tensor \"none\" is 0",
				  "a dimension of 0");

	for (uint32_t n_dims = 0; n_dims <= 5; n_dims += 5)
	{
		builder = some_file();
		memcpy(builder->tensors[0].entry.data, &n_dims, 4);
		refused_build(builder, LLM_ERROR_CORRUPT_FILE, "dimensions, not 1 to 4",
					  "0 or 5 dimensions");
	}

	builder = some_file();
	strcpy(builder->tensors[1].name, "first");
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "tensor \"first\" is there twice",
				  "a tensor twice");

	builder = some_file();
	builder->tensors[1].shift = -32;
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "tensors \"first\" and \"second\" overlap",
				  "tensors that overlap");

	builder = some_file();
	builder->tensors[1].shift = -16;
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "is not a multiple of 32",
				  "an offset off alignment");

	builder = some_file();
	builder->tensors[1].shift = INT64_MIN;
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "do not lie within the file",
				  "an offset of 2^63");

	builder = some_file();
	builder->tensors[0].shift = -32;
	refused_build(builder, LLM_ERROR_CORRUPT_FILE, "do not lie within the file",
				  "an offset that overflows");
}

/* A file cut anywhere is refused, and never crashes the reader. */
static void
test_cuts(void)
{
	GgufBuilder *builder = some_file();
	LlmError	error;
	size_t		whole;
	size_t		end;
	int			accepted = 0;

	gguf_build(builder);
	whole = builder->file.length;
	end = builder->data_offset + 96 + 180;
	for (size_t n = 0; n < end; n++)
	{
		LlmGguf    *gguf;

		builder->file.length = n;
		gguf = llm_gguf_open(builder_write(builder), &error);
		if (gguf != NULL)
			accepted++;
		llm_gguf_close(gguf);
	}
	ok(accepted == 0, "none of %zu cut files is accepted", end);
	builder->file.length = whole;
	bytes_add(&builder->file, NULL, 1000);
	{
		LlmGguf    *gguf = llm_gguf_open(builder_write(builder), &error);

		ok(gguf != NULL, "bytes after the last tensor do no harm");
		llm_gguf_close(gguf);
	}
	builder_free(builder);
}

int
main(void)
{
	test_values();
	test_accepted();
	test_preamble();
	test_keys();
	test_tensors();
	test_cuts();
	return done_testing();
}
