/*
 * attention_pages.h
 *		How the vector kernels of attention see the halves of a page.
 */
#ifndef LLM_ATTENTION_PAGES_H
#define LLM_ATTENTION_PAGES_H

#include "engine/kernels/kernels.h"

/* So many queries make it worth to convert a page to floats once for all of them. */
#define CONVERT_FOR 16

typedef enum PageForm
{
	FORM_F32,
	FORM_F16,
	FORM_Q8_0,
	FORM_FLOATS,				/* F16, converted to floats */
	FORM_CODES					/* Q8_0, converted: codes and scales as floats */
} PageForm;

typedef struct HalfPage
{
	const void *elements;
	const void *scales;
	const char *next;			/* the same half of the page to prefetch */
} HalfPage;

static inline PageForm
page_form(LlmKvType type, bool converted)
{
	if (converted && type != LLM_KV_F32)
		return type == LLM_KV_F16 ? FORM_FLOATS : FORM_CODES;
	return type == LLM_KV_F32 ? FORM_F32 : type == LLM_KV_F16 ? FORM_F16 : FORM_Q8_0;
}

static inline bool
has_scales(PageForm form)
{
	return form == FORM_Q8_0 || form == FORM_CODES;
}

static inline bool
is_converted(PageForm form)
{
	return form == FORM_FLOATS || form == FORM_CODES;
}

static inline int
element_bytes(PageForm form)
{
	return form == FORM_F16 ? 2 : form == FORM_Q8_0 ? 1 : 4;
}

static inline HalfPage
half_page(LlmKvType type, const void *const *pages, int32_t page, int32_t n_pages, int32_t head_dim)
{
	HalfPage	half = {
		.elements = pages[page],
		.scales = type == LLM_KV_Q8_0 ? llm_kv_scales(pages[page], head_dim) : NULL,
		.next = pages[page + 1 < n_pages ? page + 1 : page]
	};

	return half;
}

#endif							/* LLM_ATTENTION_PAGES_H */
