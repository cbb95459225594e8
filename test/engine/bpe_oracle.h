/*
 * bpe_oracle.h
 *		Byte pair encoding by the definition, for texts of a few dozen characters.
 *
 * Looks at all pairs again after every merge, by strings and without the
 * vocabulary's tables, so that it shares nothing with tokenize.c.
 */
#ifndef BPE_ORACLE_H
#define BPE_ORACLE_H

#include <stdlib.h>
#include <string.h>

#include "text/vocabulary.h"

#define ORACLE_MAX_SYMBOLS 1024

typedef struct OracleSymbol
{
	const char *bytes;
	size_t		length;
	bool		frozen;
	int			id;				/* where frozen */
} OracleSymbol;

typedef struct Oracle
{
	const LlmPiece *pieces;
	int			n_pieces;
	char		bytes[3 * ORACLE_MAX_SYMBOLS];
	size_t		n_bytes;
	OracleSymbol symbols[ORACLE_MAX_SYMBOLS];
	int			n_symbols;
	size_t		splits[ORACLE_MAX_SYMBOLS]; /* by piece: where an unused one was put together */
	int32_t		ids[3 * ORACLE_MAX_SYMBOLS];
	int			n_ids;
} Oracle;

static inline int
oracle_find(const Oracle *oracle, const char *bytes, size_t length)
{
	for (int i = 0; i < oracle->n_pieces; i++)
	{
		const LlmPiece *piece = &oracle->pieces[i];

		if (piece->length == length && memcmp(piece->bytes, bytes, length) == 0 &&
			(piece->kind == LLM_PIECE_NORMAL || piece->kind == LLM_PIECE_USER_DEFINED ||
			 piece->kind == LLM_PIECE_UNUSED))
			return i;
	}
	return -1;
}

/* The piece that symbols i and i + 1 make; an unused one's border is noted when they meet. */
static inline int
oracle_pair(Oracle *oracle, int i, bool meeting)
{
	const OracleSymbol *left;
	int			id;

	if (i < 0 || i + 1 >= oracle->n_symbols)
		return -1;
	left = &oracle->symbols[i];
	if (left->frozen || left[1].frozen)
		return -1;
	id = oracle_find(oracle, left->bytes, left->length + left[1].length);
	if (id >= 0 && meeting && oracle->pieces[id].kind == LLM_PIECE_UNUSED)
		oracle->splits[id] = left->length;
	return id;
}

static inline void
oracle_emit(Oracle *oracle, const char *bytes, size_t length)
{
	int			id = oracle_find(oracle, bytes, length);

	if (id >= 0 && oracle->splits[id] > 0)
	{
		oracle_emit(oracle, bytes, oracle->splits[id]);
		oracle_emit(oracle, bytes + oracle->splits[id], length - oracle->splits[id]);
	}
	else if (id >= 0)
		oracle->ids[oracle->n_ids++] = id;
	else
	{
		/* vocabulary_from_table puts byte b at 3 + b */
		for (size_t i = 0; i < length; i++)
			oracle->ids[oracle->n_ids++] = 3 + (uint8_t) bytes[i];
	}
}

/* Tokenize ASCII text with the pieces of a vocabulary_from_table. */
static inline void
oracle_tokenize(Oracle *oracle, const LlmPiece *pieces, int n_pieces, const char *text, size_t length)
{
	size_t		at = 0;

	memset(oracle, 0, sizeof(*oracle));
	oracle->pieces = pieces;
	oracle->n_pieces = n_pieces;
	for (size_t i = 0; i <= length && length > 0; i++)
	{
		const char *character = i == 0 || text[i - 1] == ' ' ? "\xE2\x96\x81" : text + i - 1;
		size_t		width = *character == '\xE2' ? 3 : 1;

		memcpy(oracle->bytes + oracle->n_bytes, character, width);
		oracle->n_bytes += width;
	}
	while (at < oracle->n_bytes)
	{
		OracleSymbol symbol = {oracle->bytes + at, oracle->bytes[at] == '\xE2' ? 3 : 1, false, -1};

		for (int i = 0; i < n_pieces; i++)
		{
			const LlmPiece *piece = &pieces[i];

			if (piece->kind == LLM_PIECE_USER_DEFINED && piece->length <= oracle->n_bytes - at &&
				memcmp(symbol.bytes, piece->bytes, piece->length) == 0 &&
				(!symbol.frozen || piece->length > symbol.length))
			{
				symbol.length = piece->length;
				symbol.frozen = true;
				symbol.id = i;
			}
		}
		oracle->symbols[oracle->n_symbols++] = symbol;
		at += symbol.length;
	}
	for (int i = 0; i < oracle->n_symbols; i++)
		oracle_pair(oracle, i, true);
	for (;;)
	{
		int			best = -1;
		int			best_id = -1;

		for (int i = 0; i < oracle->n_symbols; i++)
		{
			int			id = oracle_pair(oracle, i, false);

			if (id >= 0 && (best < 0 || pieces[id].score > pieces[best_id].score))
			{
				best = i;
				best_id = id;
			}
		}
		if (best < 0)
			break;
		oracle->symbols[best].length += oracle->symbols[best + 1].length;
		oracle->n_symbols--;
		memmove(&oracle->symbols[best + 1], &oracle->symbols[best + 2],
				(size_t) (oracle->n_symbols - best - 1) * sizeof(OracleSymbol));
		oracle_pair(oracle, best - 1, true);
		oracle_pair(oracle, best, true);
	}
	for (int i = 0; i < oracle->n_symbols; i++)
	{
		if (oracle->symbols[i].frozen)
			oracle->ids[oracle->n_ids++] = oracle->symbols[i].id;
		else
			oracle_emit(oracle, oracle->symbols[i].bytes, oracle->symbols[i].length);
	}
}

#endif							/* BPE_ORACLE_H */
