/*
 * import_main.c
 *		The command llama2-import: a model as people have it, to a model file.
 */
#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "import/import_model.h"
#include "import/progress.h"

#define MAX_NAME 63				/* as the server has it */

#define EXIT_USAGE 2

static bool parse_options(int argc, char **argv, ImportOptions *options);
static bool parse_context(const char *text, int32_t *context);
static bool usage_error(const char *format, const char *value);
static void print_types_hint(void);
static void print_help(void);
static void default_name(const ImportOptions *options, char *out, size_t size);
static const char *last_part(const char *path, size_t *length);
static bool name_is_valid(const char *name);
static void print_error(const LlmError *error);
static void print_summary(const ImportOptions *options, const ImportSummary *summary);

int
main(int argc, char **argv)
{
	ImportOptions options = {.folder = LLAMA2_MODEL_FOLDER};
	ImportSummary summary;
	LlmError	error = {0};
	char		name[MAX_NAME + 1];

	if (!parse_options(argc, argv, &options))
		return EXIT_USAGE;
	if (options.name == NULL)
	{
		default_name(&options, name, sizeof(name));
		options.name = name;
	}
	if (!name_is_valid(options.name))
	{
		usage_error("\"%s\" cannot be a model's name: 1 to 63 letters, digits and \"._-+\", not \".\" first",
					options.name);
		return EXIT_USAGE;
	}
	if (options.quiet)
		notices_off();
	if (!import_model(&options, &summary, &error))
	{
		print_error(&error);
		return EXIT_FAILURE;
	}
	if (!options.quiet)
		print_summary(&options, &summary);
	return EXIT_SUCCESS;
}

static bool
parse_options(int argc, char **argv, ImportOptions *options)
{
	static const struct option long_options[] = {
		{"type", required_argument, NULL, 't'},
		{"name", required_argument, NULL, 'n'},
		{"directory", required_argument, NULL, 'd'},
		{"tokenizer", required_argument, NULL, 'k'},
		{"context", required_argument, NULL, 'c'},
		{"force", no_argument, NULL, 'f'},
		{"quiet", no_argument, NULL, 'q'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0}
	};
	int			option;

	while ((option = getopt_long(argc, argv, "t:n:d:k:c:fqhV", long_options, NULL)) != -1)
		switch (option)
		{
			case 't':
				options->type = target_type_find(optarg);
				if (options->type == NULL)
				{
					usage_error("there is no type \"%s\"", optarg);
					print_types_hint();
					return false;
				}
				break;
			case 'n':
				options->name = optarg;
				break;
			case 'd':
				options->folder = optarg;
				break;
			case 'k':
				options->tokenizer = optarg;
				break;
			case 'c':
				if (!parse_context(optarg, &options->context_length))
					return usage_error("\"%s\" is no context length", optarg);
				break;
			case 'f':
				options->replace = true;
				break;
			case 'q':
				options->quiet = true;
				break;
			case 'h':
				print_help();
				exit(EXIT_SUCCESS);
			case 'V':
				printf("llama2-import %s\n", LLAMA2_VERSION);
				exit(EXIT_SUCCESS);
			default:
				return usage_error("see \"%s\"", "llama2-import --help");
		}
	if (argc - optind != 1)
		return usage_error(argc == optind ? "no source is named%s" :
						   "more than one source is named%s", "");
	options->source = argv[optind];
	return true;
}

static bool
parse_context(const char *text, int32_t *context)
{
	char	   *end;
	long		value = strtol(text, &end, 10);

	*context = value > 0 && value <= INT32_MAX ? (int32_t) value : 0;
	return end != text && *end == '\0' && *context > 0;
}

static bool
usage_error(const char *format, const char *value)
{
	fputs("llama2-import: ", stderr);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	fprintf(stderr, format, value);
#pragma GCC diagnostic pop
	fputc('\n', stderr);
	return false;
}

static void
print_types_hint(void)
{
	int			n;
	const TargetType *types = target_types(&n);

	fprintf(stderr, "llama2-import: hint: The types are");
	for (int i = 0; i < n; i++)
		fprintf(stderr, "%s %s", i > 0 ? "," : "", types[i].name);
	fputs(".\n", stderr);
}

static void
print_help(void)
{
	int			n;
	const TargetType *types = target_types(&n);

	printf("llama2-import makes a model file for llama2.\n\n"
		   "Usage:\n"
		   "  llama2-import [OPTION]... SOURCE\n\n"
		   "SOURCE is one of\n"
		   "  a folder from Meta            params.json, consolidated.NN.pth, tokenizer.model\n"
		   "  a folder from Hugging Face    config.json, *.safetensors or pytorch_model*.bin,\n"
		   "                                tokenizer.model or tokenizer.json\n"
		   "  a llama2.c model              NAME.bin, with tokenizer.bin beside it\n"
		   "  a GGUF file                   to have its weights in another type\n\n"
		   "Options:\n"
		   "  -t, --type=TYPE         type of the weights; default: as in the source\n"
		   "  -n, --name=NAME         name of the model; default: the source's name and the type\n"
		   "  -d, --directory=FOLDER  where model files are; default:\n"
		   "                          %s\n"
		   "  -k, --tokenizer=FILE    tokenizer.model, tokenizer.json or tokenizer.bin to take\n"
		   "  -c, --context=N         context length, where the source does not tell it right\n"
		   "  -f, --force             replace a model of that name\n"
		   "  -q, --quiet             tell of nothing but errors\n"
		   "  -V, --version           print the version\n"
		   "  -h, --help              print this\n\n"
		   "Types of all matrices:\n", LLAMA2_MODEL_FOLDER);
	for (int i = 0; i < n; i++)
	{
		if (types[i].mixture != TARGET_PLAIN && types[i - 1].mixture == TARGET_PLAIN)
			printf("\nMixtures, with a better type for the classifier and others that need it:\n");
		printf("  %-8s  %s\n", types[i].name, types[i].description);
	}
}

/* The last part of the path without its suffix, and the type where one was asked for. */
static void
default_name(const ImportOptions *options, char *out, size_t size)
{
	const char *type = options->type != NULL ? options->type->name : NULL;
	size_t		room = size - (type != NULL ? strlen(type) + 2 : 1);
	char	   *resolved = NULL;
	size_t		length;
	const char *part = last_part(options->source, &length);
	size_t		n = 0;

	/* "." and the like are names for a folder that has another. */
	if (strspn(part, "./") >= length)
		resolved = realpath(options->source, NULL);
	if (resolved != NULL)
		part = last_part(resolved, &length);
	if (length > 5 && strncmp(part + length - 5, ".gguf", 5) == 0)
		length -= 5;
	else if (length > 4 && strncmp(part + length - 4, ".bin", 4) == 0)
		length -= 4;
	for (; n < length && n < room; n++)
		out[n] = (char) (strchr("._-+", part[n]) || isalnum((unsigned char) part[n]) ? part[n] : '-');
	out[n] = '\0';
	if (type != NULL)
		snprintf(out + n, size - n, "-%s", type);
	free(resolved);
}

static const char *
last_part(const char *path, size_t *length)
{
	size_t		end = strlen(path);
	size_t		begin;

	while (end > 1 && path[end - 1] == '/')
		end--;
	begin = end;
	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	*length = end - begin;
	return path + begin;
}

static bool
name_is_valid(const char *name)
{
	size_t		n = strlen(name);

	return n > 0 && n <= MAX_NAME && name[0] != '.' &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+") == n;
}

static void
print_error(const LlmError *error)
{
	fputs("llama2-import: error: ", stderr);
	/* A message may quote an untrusted file: nothing of it may command the terminal. */
	for (const char *c = error->message; *c != '\0'; c++)
		fputc((unsigned char) *c < ' ' || *c == 0x7f ? '?' : *c, stderr);
	fputc('\n', stderr);
	if (error->hint[0] != '\0')
		fprintf(stderr, "llama2-import: hint: %s\n", error->hint);
}

static void
print_summary(const ImportOptions *options, const ImportSummary *summary)
{
	char		size[32];

	printf("%s imported as \"%s\": %" PRId64 " weights, %" PRId32 " tokens, %s in %.1f s\n%s\n",
		   summary->format,
		   options->name, summary->n_weights, summary->vocabulary_size,
		   format_bytes(summary->n_bytes, size, sizeof(size)), summary->seconds, summary->path);
}
