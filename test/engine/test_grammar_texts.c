/*
 * test_grammar_texts.c
 *		Random regular expressions and grammars: every text matches, by the C library's regexec and by a
 *		recognizer of its own.
 */
#include <locale.h>
#include <regex.h>

#include "constrained_text.h"

#define N_REGEXES 200
#define N_GRAMMARS 200
#define MAX_RULES 6
#define MAX_NODES 400

/* What POSIX's extended regular expressions and our dialect understand alike. */
static void
put_regex(Writer *writer, int depth)
{
	static const char *const atoms[] = {
		"a", "b", "0", "x", " ", "\xC3\xA9", "[a-c]", "[^a-y]", "[[:digit:]]", "[a0\xE2\x82\xAC-]", ".", "\\.", "\\(", "\\\\", "(ab|b)", "[[:upper:]_]"
	};
	static const char *const repetitions[] = {"", "", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"};
	int			n = 1 + (int) dice(writer, 4);

	for (int i = 0; i < n; i++)
	{
		if (depth > 0 && dice(writer, 3) == 0)
		{
			put(writer, "(");
			put_regex(writer, depth - 1);
			if (dice(writer, 2))
			{
				put(writer, "|");
				put_regex(writer, depth - 1);
			}
			put(writer, ")");
		}
		else
			put(writer, "%s", atoms[dice(writer, 16)]);
		put(writer, "%s", repetitions[dice(writer, 11)]);
	}
}

static void
test_regexes(const LlmVocabulary *vocabulary)
{
	LlmConstraints *constraints = llm_constraints_create(vocabulary, 0);
	ConstrainedText *made = malloc(sizeof(ConstrainedText));
	Writer		writer = {.random = 4711};
	int			n_texts = 0;
	int			n_wrong = 0;

	for (int i = 0; i < N_REGEXES; i++)
	{
		LlmError	error = {0};
		LlmGrammar *grammar;
		regex_t		regex;

		writer.length = 0;
		put(&writer, "^(");
		put_regex(&writer, 3);
		put(&writer, ")$");
		grammar = llm_grammar_from_regex(writer.text, (size_t) writer.length, &error);
		if (regcomp(&regex, writer.text, REG_EXTENDED | REG_NOSUB) != 0 || grammar == NULL)
		{
			diag("%s: %s", writer.text, error.message);
			n_wrong++;
			continue;
		}
		for (int run = 0; run < 10; run++)
		{
			bool		made_one = constrained_text(constraints, vocabulary, grammar, run < 5 ? 200 : 1 + (int32_t) dice(&writer, 30),
													LLM_ON_LIMIT_CLOSE, &writer.random, made);

			n_texts += made->begun;
			if (!made_one || (made->begun && (!made->complete || regexec(&regex, made->text, 0, NULL, 0) != 0)))
			{
				diag("%s does not match: %s", writer.text, made->text);
				n_wrong++;
			}
		}
		regfree(&regex);
		free(grammar);
	}
	ok(n_wrong == 0 && n_texts > 5 * N_REGEXES, "%d regular expressions, %d texts, %d wrong", N_REGEXES, n_texts, n_wrong);
	free(made);
	llm_constraints_free(constraints);
}

/* A grammar as the recognizer sees it. */
typedef enum NodeKind
{
	NODE_TEXT,
	NODE_CLASS,
	NODE_ANY,
	NODE_SEQUENCE,
	NODE_CHOICE,
	NODE_REPEAT,
	NODE_RULE
} NodeKind;

typedef struct Node
{
	NodeKind	kind;
	const char *text;			/* of NODE_TEXT, and the members of NODE_CLASS */
	bool		negated;
	int			items[4];
	int			n_items;
	int			least;
	int			most;			/* -1: forever */
	int			rule;
} Node;

typedef struct Grammar
{
	Node		nodes[MAX_NODES];
	int			n_nodes;
	int			rules[MAX_RULES];
	int			n_rules;
} Grammar;

static int
random_node(Grammar *grammar, Writer *writer, int depth)
{
	static const char *const texts[] = {"a", "b", "ab", "(", ")", "x1", "\xC3\xA9", "abc"};
	static const char *const classes[] = {"abc", "xyz019", "()", "\xC3\xA9"};
	Node		node = {0};
	int			at;

	if (grammar->n_nodes > MAX_NODES - 20)
		depth = 0;
	switch (depth > 0 ? dice(writer, 9) : dice(writer, 4))
	{
		case 0:
		case 1:
			node.kind = NODE_TEXT;
			node.text = texts[dice(writer, 8)];
			break;
		case 2:
			node.kind = dice(writer, 4) ? NODE_CLASS : NODE_ANY;
			node.text = classes[dice(writer, 4)];
			node.negated = dice(writer, 4) == 0;
			break;
		case 3:
		case 4:
			node.kind = NODE_RULE;
			node.rule = (int) dice(writer, (uint32_t) grammar->n_rules);
			break;
		case 5:
		case 6:
			node.kind = NODE_SEQUENCE;
			break;
		case 7:
			node.kind = NODE_CHOICE;
			break;
		default:
			node.kind = NODE_REPEAT;
			node.least = (int) dice(writer, 3);
			node.most = dice(writer, 2) ? -1 : node.least + (int) dice(writer, 3);
	}
	if (node.kind == NODE_SEQUENCE || node.kind == NODE_CHOICE)
		node.n_items = 2 + (int) dice(writer, 3);
	if (node.kind == NODE_REPEAT)
		node.n_items = 1;
	for (int i = 0; i < node.n_items; i++)
		node.items[i] = random_node(grammar, writer, depth - 1);
	at = grammar->n_nodes++;
	grammar->nodes[at] = node;
	return at;
}

static void
put_node(Writer *writer, const Grammar *grammar, int at)
{
	const Node *node = &grammar->nodes[at];

	switch (node->kind)
	{
		case NODE_TEXT:
			put(writer, "\"%s\"", node->text);
			break;
		case NODE_CLASS:
			put(writer, "[%s%s]", node->negated ? "^" : "", node->text);
			break;
		case NODE_ANY:
			put(writer, ".");
			break;
		case NODE_RULE:
			put(writer, node->rule == 0 ? "root" : "rule-%d", node->rule);
			break;
		case NODE_REPEAT:
			put(writer, "(");
			put_node(writer, grammar, node->items[0]);
			put(writer, ")");
			if (node->most < 0)
				put(writer, node->least == 0 ? "*" : node->least == 1 ? "+" : "{%d,}", node->least);
			else
				put(writer, "{%d,%d}", node->least, node->most);
			break;
		default:
			put(writer, "(");
			for (int i = 0; i < node->n_items; i++)
			{
				put(writer, i == 0 ? "" : node->kind == NODE_CHOICE ? " | " : " ");
				put_node(writer, grammar, node->items[i]);
			}
			put(writer, ")");
	}
}

/* Where a node can end when it begins at a byte of the text: a bit for each byte. */
#define MAX_RECOGNIZED 63

typedef struct Recognizer
{
	const Grammar *grammar;
	const char *text;
	int			length;
	uint64_t	known[MAX_RULES][MAX_RECOGNIZED + 1];
	bool		is_known[MAX_RULES][MAX_RECOGNIZED + 1];
	int			work;
} Recognizer;

static uint64_t ends_of(Recognizer *recognizer, int at, int from);

static uint64_t
ends_of_all(Recognizer *recognizer, int at, uint64_t from)
{
	uint64_t	ends = 0;

	for (int i = 0; i <= recognizer->length; i++)
	{
		if (from >> i & 1)
			ends |= ends_of(recognizer, at, i);
	}
	return ends;
}

static int
character_length(const char *text)
{
	uint8_t		lead = (uint8_t) *text;

	return lead == 0 ? 0 : lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

static uint64_t
ends_of(Recognizer *recognizer, int at, int from)
{
	const Node *node = &recognizer->grammar->nodes[at];
	const char *text = recognizer->text + from;
	uint64_t	ends = 0;
	int			n = character_length(text);

	if (recognizer->work++ > 20000000)
		return 0;
	switch (node->kind)
	{
		case NODE_TEXT:
			return strncmp(text, node->text, strlen(node->text)) == 0 ? UINT64_C(1) << (from + (int) strlen(node->text)) : 0;
		case NODE_CLASS:
			{
				bool		found = false;

				for (const char *member = node->text; *member != '\0'; member += character_length(member))
					found |= n == character_length(member) && strncmp(text, member, (size_t) n) == 0;
				return n > 0 && found != node->negated ? UINT64_C(1) << (from + n) : 0;
			}
		case NODE_ANY:
			return n > 0 ? UINT64_C(1) << (from + n) : 0;
		case NODE_RULE:
			if (!recognizer->is_known[node->rule][from])
			{
				/* only what can never end begins with itself: nothing matches it */
				recognizer->is_known[node->rule][from] = true;
				recognizer->known[node->rule][from] = ends_of(recognizer, recognizer->grammar->rules[node->rule], from);
			}
			return recognizer->known[node->rule][from];
		case NODE_SEQUENCE:
			ends = UINT64_C(1) << from;
			for (int i = 0; i < node->n_items; i++)
				ends = ends_of_all(recognizer, node->items[i], ends);
			return ends;
		case NODE_CHOICE:
			for (int i = 0; i < node->n_items; i++)
				ends |= ends_of(recognizer, node->items[i], from);
			return ends;
		case NODE_REPEAT:
			break;
	}
	{
		uint64_t	reached = UINT64_C(1) << from;
		int			most = node->most < 0 ? node->least + MAX_RECOGNIZED : node->most;

		for (int i = 0; i <= most; i++)
		{
			uint64_t	next;

			if (i >= node->least)
				ends |= reached;
			next = ends_of_all(recognizer, node->items[0], reached);
			if (next == 0)
				break;
			reached = next;
		}
	}
	return ends;
}

static bool
recognizes(const Grammar *grammar, const char *text, size_t length)
{
	Recognizer *recognizer = calloc(1, sizeof(Recognizer));
	bool		found;

	recognizer->grammar = grammar;
	recognizer->text = text;
	recognizer->length = (int) length;
	found = ends_of(recognizer, grammar->rules[0], 0) >> length & 1;
	free(recognizer);
	return found;
}

/* Left-recursive ones, which the recognizer cannot take either, and those that can never end are refused. */
static void
test_grammars(const LlmVocabulary *vocabulary)
{
	LlmConstraints *constraints = llm_constraints_create(vocabulary, 0);
	ConstrainedText *made = malloc(sizeof(ConstrainedText));
	Grammar    *random = malloc(sizeof(Grammar));
	Writer		writer = {.random = 271828};
	int			n_grammars = 0;
	int			n_refused = 0;
	int			n_texts = 0;
	int			n_checked = 0;
	int			n_wrong = 0;

	while (n_grammars < N_GRAMMARS && n_refused < 20 * N_GRAMMARS)
	{
		LlmError	error = {0};
		LlmGrammar *grammar;

		random->n_nodes = 0;
		random->n_rules = 1 + (int) dice(&writer, MAX_RULES);
		for (int i = 0; i < random->n_rules; i++)
			random->rules[i] = random_node(random, &writer, 4);
		writer.length = 0;
		for (int i = 0; i < random->n_rules; i++)
		{
			put(&writer, i == 0 ? "root ::= " : "rule-%d ::= ", i);
			put_node(&writer, random, random->rules[i]);
			put(&writer, "\n");
		}
		grammar = llm_grammar_from_gbnf(writer.text, (size_t) writer.length, &error);
		if (grammar == NULL)
		{
			n_refused++;
			if (strstr(error.message, "left recursion") == NULL && strstr(error.message, "can never end") == NULL)
			{
				diag("%s: %s", error.message, writer.text);
				n_wrong++;
			}
			continue;
		}
		n_grammars++;
		for (int run = 0; run < 20; run++)
		{
			bool		made_one = constrained_text(constraints, vocabulary, grammar, 1 + (int32_t) dice(&writer, 24),
													LLM_ON_LIMIT_CLOSE, &writer.random, made);
			bool		checked = made->begun && made->length <= MAX_RECOGNIZED;

			n_texts += made->begun;
			n_checked += checked;
			if (!made_one || (made->begun && !made->complete) || (checked && !recognizes(random, made->text, made->length)))
			{
				diag("%s is not what is allowed by %s", made->text, writer.text);
				n_wrong++;
			}
		}
		free(grammar);
	}
	ok(n_wrong == 0 && n_grammars == N_GRAMMARS && n_checked > 3 * N_GRAMMARS,
	   "%d grammars (and %d refused), %d texts, of these %d short enough to check, %d wrong", n_grammars, n_refused, n_texts, n_checked, n_wrong);
	free(random);
	free(made);
	llm_constraints_free(constraints);
}

int
main(void)
{
	LlmVocabulary *vocabulary = json_vocabulary();

	if (setlocale(LC_ALL, "C.UTF-8") == NULL)
		skip("there is no locale C.UTF-8 for regexec");
	else
		test_regexes(vocabulary);
	test_grammars(vocabulary);
	free(vocabulary);
	return done_testing();
}
