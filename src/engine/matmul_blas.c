/*
 * matmul_blas.c
 *		Float products through cblas_sgemm, a block of weights at a time.
 *
 * A block of LLM_BLAS_PANELS panels is unpacked, BLOCK_COLS weights of each row at a time, to
 * scratch[col][row], which stays in the cache while all tokens are multiplied
 * with it.
 */
#include "engine/matmul_blas.h"

#include <cblas.h>
#include <string.h>

#define BLOCK_ROWS (LLM_BLAS_PANELS * LLM_PANEL_ROWS)
#define BLOCK_COLS LLM_BLAS_BLOCK_COLS

static void unpack_panel(const LlmMatrix *w, int32_t panel, int32_t first_col, int32_t n_cols,
						 float *out);
static inline float half_to_float(uint16_t half);
static inline float bits_to_float(uint32_t bits);

void
llm_matmul_blas_init(void)
{
	openblas_set_num_threads(1);
}

bool
llm_matmul_blas_serves(LlmTensorType type, int32_t n_cols)
{
	return n_cols >= LLM_BLAS_MIN_COLS && (type == LLM_F32 || type == LLM_F16 || type == LLM_BF16);
}

void
llm_matmul_blas(const LlmMatrix *w, int32_t first, int32_t last, const LlmActivations *x,
				float *y, int64_t y_stride, float *scratch)
{
	for (int32_t block = first; block < last; block += LLM_BLAS_PANELS)
	{
		int32_t		block_end = block + LLM_BLAS_PANELS < last ? block + LLM_BLAS_PANELS : last;
		int32_t		first_row = block * LLM_PANEL_ROWS;
		int32_t		end_row = block_end * LLM_PANEL_ROWS < w->rows ? block_end * LLM_PANEL_ROWS : w->rows;

		for (int32_t col = 0; col < w->cols; col += BLOCK_COLS)
		{
			int32_t		n_cols = w->cols - col < BLOCK_COLS ? w->cols - col : BLOCK_COLS;

			for (int32_t panel = block; panel < block_end; panel++)
				unpack_panel(w, panel, col, n_cols, scratch + (panel - block) * LLM_PANEL_ROWS);
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans,
						x->n_cols, end_row - first_row, n_cols,
						1.0f, x->x + col, x->width, scratch, BLOCK_ROWS,
						col == 0 ? 0.0f : 1.0f, y + first_row, (blasint) y_stride);
		}
	}
}

/* Columns first_col .. of one panel to out[col][BLOCK_ROWS], sixteen rows each. */
static void
unpack_panel(const LlmMatrix *w, int32_t panel, int32_t first_col, int32_t n_cols, float *out)
{
	const uint8_t *weights = w->panels + (uint64_t) panel * w->panel_bytes;
	uint64_t	element = (uint64_t) first_col * LLM_PANEL_ROWS;

	if (w->type == LLM_F32)
	{
		const float *in = (const float *) weights + element;

		for (int32_t k = 0; k < n_cols; k++, in += LLM_PANEL_ROWS, out += BLOCK_ROWS)
			memcpy(out, in, LLM_PANEL_ROWS * sizeof(float));
	}
	else
	{
		const uint16_t *in = (const uint16_t *) weights + element;

		for (int32_t k = 0; k < n_cols; k++, in += LLM_PANEL_ROWS, out += BLOCK_ROWS)
		{
			if (w->type == LLM_F16)
				for (int i = 0; i < LLM_PANEL_ROWS; i++)
					out[i] = half_to_float(in[i]);
			else
				for (int i = 0; i < LLM_PANEL_ROWS; i++)
					out[i] = bits_to_float((uint32_t) in[i] << 16);
		}
	}
}

/*
 * Without a branch, so that the loop above becomes vector code: the half's bits are
 * moved to the float's places, and a multiplication corrects the exponent, that of subnormals too.
 */
static inline float
half_to_float(uint16_t half)
{
	uint32_t	magnitude = (uint32_t) (half & 0x7fff) << 13;
	uint32_t	sign = (uint32_t) (half & 0x8000) << 16;
	uint32_t	not_finite = -(uint32_t) ((half & 0x7c00) == 0x7c00) & 0x7f800000;
	float		value = bits_to_float(magnitude) * 0x1p+112f;
	uint32_t	bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits_to_float(bits | not_finite | sign);
}

static inline float
bits_to_float(uint32_t bits)
{
	float		value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}
