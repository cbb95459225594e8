/*
 * spell_markers.h
 *		What looks like a marker of the chat template in a message stays text.
 */
#ifndef LLM_SPELL_MARKERS_H
#define LLM_SPELL_MARKERS_H

#include "text/vocabulary.h"

#define LLM_USER_MARKER "[INST]"
#define LLM_USER_END_MARKER "[/INST]"
#define LLM_SYSTEM_MARKER "<<SYS>>"
#define LLM_SYSTEM_END_MARKER "<</SYS>>"

/* A part of a text that somebody else than the template has written. */
typedef struct LlmSpan
{
	size_t		begin;
	size_t		end;
} LlmSpan;

/*
 * ids[n_ids] and offsets[n_ids] are what llm_tokenize_with_offsets made of text[length], with room for
 * llm_tokenize_bound(length).  Where one of the markers stands in one of the spans, its tokens become those
 * of its characters, one by one: the same text, but not what the model has learned as a marker.  Only a vocabulary
 * that has nothing longer for it leaves it alike.  Returns the new number of ids.
 */
extern size_t llm_spell_markers(const LlmVocabulary *vocabulary, const char *text, size_t length,
								const LlmSpan *spans, int n_spans, int32_t *ids, size_t *offsets, size_t n_ids);

#endif							/* LLM_SPELL_MARKERS_H */
