/*
 * kernels.h
 *		Every formula of the forward pass, and the shapes it works on.
 *
 * This header is the specification.  Seven kernel sets implement it: generic C
 * (the oracle, any processor), AVX2 (with FMA and F16C), AVX-VNNI (beside AVX2), which has the bits of AVX2, AVX-512 (F, BW,
 * VL, DQ, VNNI), AMX (tiles of int8, beside AVX-512), which has the bits of AVX-512, "amx_prompts", which has them but for
 * prompts, and "amx_bf16", which computes everything as that one computes prompts; one is chosen at run time.
 *
 * A set may have products of its own for the tokens of prompts (prompt_matmul), which come many at once: then what a token
 * is decides over its bits, and still nothing that is computed beside it.
 *
 * Reproducibility.  Within one set the bits of an output depend only on the
 * inputs named in its formula: never on how many columns are computed at
 * once, which panels a call covers, or how many threads share the work.
 * Every sum below is taken in the order written, in float32, with one fused
 * multiply-add per term in the AVX sets (generic: a product, then a sum);
 * compile with -ffp-contract=off.
 */
#ifndef LLM_KERNELS_H
#define LLM_KERNELS_H

#include "engine/block.h"
#include "engine/matrix.h"

/* Templates of kernels are functions whose constants the compiler must see. */
#define KERNEL_INLINE static inline __attribute__((always_inline))

/*
 * The same pointer, of which the compiler does not know it: what is there is loaded anew, not kept in registers that sums need, nor
 * before what a volatile pointer reads.
 */
KERNEL_INLINE const void *
llm_load_anew(const void *p)
{
	__asm__ volatile ("" : "+r"(p));
	return p;
}

/*
 * Activations of n_cols tokens as a matrix product reads them.  The floats
 * are always there.  The int8 half is filled by quantize for products with
 * quantized weights, one scale for `block` features: as many as share the weights' scale, 32, or 256 for the
 * K types, so that their products stay integers for a whole block:
 *
 *	 d = max|x| / 127,  q = round(x * (1 / d)) to nearest even,  sum16[h] = sum of q over
 *	 features 16h .. 16h+15.  A block of zeros has d = 0, and so has a block whose d would not be a normal number
 * (d < FLT_MIN): its q are 0.
 */
typedef struct LlmActivations
{
	int32_t		n_cols;			/* tokens */
	int32_t		width;			/* features of a token, a multiple of 32 (zero filled) */
	int32_t		block;			/* features with one scale: 32 or 256, the last block fewer */
	float	   *x;				/* [n_cols][width] */
	int8_t	   *q;				/* [n_cols][width], 64-byte aligned */
	float	   *d;				/* [n_cols][width / 32]; the same for all groups of a block */
	int32_t    *sum16;			/* [n_cols][width / 16] */
} LlmActivations;

/*
 * Activations of n_cols tokens of prompts, as prompt_matmul reads them:
 *
 *	 factor = 2^e,  e = floor(log2(max|x|)) of the column, at least LLM_ROUNDED_EXPONENT - 126,
 *	 rounded = x * 2^(LLM_ROUNDED_EXPONENT - e) as bfloat16, to nearest even, subnormals as 0
 *
 * in tiles [columns / LLM_TILE_COLUMNS][width / 32][LLM_TILE_COLUMNS][32], whose 32 features are in the order 0, 2, 1, 3,
 * 4, 6, 5, 7, ...; where there are fewer columns the only tile has so many.
 */
typedef struct LlmPrompts
{
	int32_t		n_cols;
	int32_t		width;			/* as in LlmActivations */
	const float *x;				/* [n_cols][width] */
	uint16_t   *rounded;		/* room for n_cols rounded up to LLM_TILE_COLUMNS, 64-byte aligned */
	float	   *factor;			/* [n_cols] */
} LlmPrompts;

#define LLM_TILE_COLUMNS 16
#define LLM_ROUNDED_EXPONENT 60

/* The same features for all kinds of products; x is shared. */
typedef struct LlmInput
{
	LlmActivations groups;		/* block 32, and the floats for those that take them */
	LlmActivations blocks;		/* block 256 */
	LlmPrompts	prompts;		/* the last columns, where a set has products of their own for them */
} LlmInput;

/* Columns in a tile. */
static inline int32_t
llm_tile_height(const LlmPrompts *x)
{
	return x->n_cols < LLM_TILE_COLUMNS ? x->n_cols : LLM_TILE_COLUMNS;
}

/* Where a group of a column begins in `rounded`. */
static inline int64_t
llm_rounded_place(const LlmPrompts *x, int32_t column, int32_t group)
{
	const int64_t height = llm_tile_height(x);
	const int64_t n_groups = x->width / LLM_GROUP;

	return ((column / height * n_groups + group) * height + column % height) * LLM_GROUP;
}

/* Positions in one page of the KV cache: the block of the online softmax. */
#define LLM_KV_PAGE 32

typedef enum LlmKvType
{
	LLM_KV_F32,
	LLM_KV_F16,
	LLM_KV_Q8_0
} LlmKvType;

#define LLM_KV_TYPE_LIMIT (LLM_KV_Q8_0 + 1)

/*
 * One KV head's half page in one layer: keys transposed, k[head_dim][32], so that
 * lanes are positions; values as v[32][head_dim], so that lanes are features.
 *
 * Q8_0: int8 codes in these orders; behind them, for keys and values alike, halves
 * d[ceil(head_dim / 32)][32]: the scale of group g (features 32g .. 32g+31) of a position
 * is d[g][position].  A group is stored as d = max|x| / 127 rounded to half, code = round(x / d), both
 * to nearest even, the code within -127 .. 127.  Where d comes out as 0 or as
 * no finite number the codes are 0: such a group reads as 0, or as NaN.
 */
static inline uint64_t
llm_kv_half_page_bytes(LlmKvType type, int32_t head_dim)
{
	uint64_t	n = (uint64_t) head_dim * LLM_KV_PAGE;
	uint64_t	n_groups = ((uint64_t) head_dim + LLM_GROUP - 1) / LLM_GROUP;

	return type == LLM_KV_F32 ? n * sizeof(float) :
		type == LLM_KV_F16 ? n * sizeof(uint16_t) :
		n + n_groups * LLM_KV_PAGE * sizeof(uint16_t);
}

/* The scales of a half page of Q8_0. */
static inline uint16_t *
llm_kv_scales(const void *half_page, int32_t head_dim)
{
	return (uint16_t *) ((uint8_t *) half_page + (int64_t) head_dim * LLM_KV_PAGE);
}

/* Queries of one sequence that read one KV head's pages. */
typedef struct LlmAttentionWork
{
	LlmKvType	kv_type;
	int32_t		head_dim;
	int32_t		n_queries;
	const float *const *queries;	/* [n_queries] -> [head_dim], scaled by nothing */
	float	   *const *outputs; /* [n_queries] -> [head_dim] */
	const int32_t *lengths;		/* [n_queries] positions seen, >= 1, ascending */
	const void *const *k_pages; /* [ceil(max length / 32)] -> [head_dim][32] */
	const void *const *v_pages; /* the same -> [32][head_dim] */
	float	   *scratch;		/* llm_attention_scratch(head_dim, n_queries) floats, private to
								 * the caller's thread, 64-byte aligned */
} LlmAttentionWork;

typedef struct LlmKernels
{
	const char *name;			/* as llama2.kernels has it */
	bool		rounds_bf16_input;	/* see llm_bf16_rounds_input */
	bool		all_are_prompts;	/* prompt_matmul serves every token of a layer */

	/* Activations: fill q, d, sum16 for columns first .. last-1. */
	void		(*quantize) (LlmActivations *activations, int32_t first, int32_t last);

	/*
	 * y[c][r] = sum over k of W[r][k] x[c][k], for every row r of panels first ..
	 * last-1 and every column c; y has y_stride floats between columns and
	 * room for the last panel's padding rows.
	 *
	 * Float weights: one accumulator for each (r, c), k ascending from 0.  AVX-512 with BF16 weights where
	 * llm_bf16_rounds_input: x rounded to bfloat16, k in the order 1, 0, 3, 2, ..., and subnormals
	 * taken for 0 everywhere, which is what VDPBF16PS computes; processors without it compute the same bits.
	 *
	 * Quantized weights, with x->block as llm_type_activation_block says: groups g of 32 ascending, one accumulator
	 * a for each (r, c).  With code sums S = sum c q (int32, exact) over a group or over its halves,
	 * symmetric types subtract offset * sum of q in int32 first:
	 *	 Q4_0 Q5_0 Q8_0:  a = fma(float(S - offset sumq), d_w * d_x, a)
	 *	 Q4_1 Q5_1:       a = fma(float(S), d_w * d_x, a);  a = fma(m, d_x * float(sumq), a)
	 *	 Q4_K Q5_K:       a = fma(float(S), (d scale) * d_x, a);  a = fma(-(dmin min), d_x * float(sumq), a)
	 *	 Q6_K Q3_K:       t = (d scale_0) * float(S_0 - offset sum16_0);  t = fma(d scale_1, float(S_1 - offset
	 *					  sum16_1), t);  a = fma(t, d_x, a)
	 *	 Q2_K:            t as above without offset; a = fma(t, d_x, a); for both halves a = fma(-(dmin min_h),
	 *					  d_x * float(sum16_h), a)
	 * The AVX sets and AMX take a block of 256 of a K type at once, whose activations share d_x, over whose groups or halves
	 * h U = sum of scale_h (S_h - offset sumq_h) and V = sum of min_h sumq_h are exact in int32:
	 *	 Q4_K Q5_K Q2_K:  a = fma(-dmin * float(V), d_x, a);  a = fma(d * float(U), d_x, a)
	 *	 Q6_K Q3_K:       a = fma(d * float(U), d_x, a)
	 */
	void		(*matmul[LLM_TENSOR_TYPE_LIMIT]) (const LlmMatrix *w, int32_t first, int32_t last,
												  const LlmActivations *x, float *y, int64_t y_stride);

	/*
	 * The same for tokens of prompts, for all quantized types or for none.  round_prompts, NULL where there are none, fills
	 * rounded and factor for columns first .. last-1.
	 *
	 * The weights are rounded, too.  With the exponent E of the greatest that a weight of the row could be (max|d| times the
	 * type's greatest scale and code, plus max|m| times its greatest minimum), and half() to nearest even:
	 *	 D = half(half(d 2^(14-E)) scale),  M = half(half(m 2^(14-E)) min),  w = half((c - offset) D - M) with one rounding,
	 * of whose ten bits behind the point seven are left, half away from zero; Q2_K, whose few different weights would all
	 * be rounded one way, adds (3i + 5j) mod 8 eighths and cuts, i and j being the weight's vector and lane in its tile
	 * (amx_prompt_unpack.h).  Where |w| < 2^-14 it is 0.  Groups of 32 ascending, one accumulator a for each (r, c):
	 *	 a = a + (sum of w x over features 0, 1 of every four + sum over features 2, 3 of every four),
	 * each sum from 0, one fused multiply-add a term, to nearest even, subnormals as 0 everywhere, which is what TDPBF16PS
	 * computes;  y = (a 2^(E - 14 + 112 - LLM_ROUNDED_EXPONENT)) factor, as tiles have w 2^-112.
	 */
	void		(*prompt_matmul[LLM_TENSOR_TYPE_LIMIT]) (const LlmMatrix *w, int32_t first, int32_t last,
														 const LlmPrompts *x, float *y, int64_t y_stride);
	void		(*round_prompts) (LlmPrompts *prompts, int32_t first, int32_t last);

	/*
	 * RMSNorm (Zhang and Sennrich 2019; Llama 2, section 2.2): out[i] = weight[i] * (x[i] * (1 / sqrt(mean(x^2) +
	 * eps))).
	 * The squares are summed in 16 lanes (lane i mod 16), then lanes pairwise (8, 4, 2, 1).
	 */
	void		(*rms_norm) (const float *x, const float *weight, int32_t n, float eps, float *out);

	/*
	 * RoPE (Su et al. 2021), interleaved pairs as in Meta's code: for i < n / 2
	 * (x[2i], x[2i+1]) is turned by the angle whose cosine and sine are
	 * table[2i], table[2i+1].  In place.
	 */
	void		(*rope) (float *x, const float *table, int32_t n);

	/* SwiGLU (Shazeer 2020): gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i]. */
	void		(*swiglu) (float *gate, const float *up, int64_t n);

	/* x[i] += y[i]. */
	void		(*add) (float *x, const float *y, int64_t n);

	/*
	 * Store one position's key and value of one KV head: slot (0..31) of the page
	 * halves; F16 rounds to nearest even, Q8_0 as said above.
	 */
	void		(*store_kv) (LlmKvType type, const float *k, const float *v, int32_t head_dim,
							 int32_t slot, void *k_page, void *v_page);

	/*
	 * Attention of each query over its first `length` positions, blocks of 32 ascending, online softmax
	 * (Milakov and Gimelshein 2018):  r[i] = q[i] * (log2(e) / sqrt(head_dim));  s[t] = sum over i of r[i] k[i][t], i
	 * ascending;  m' = max(m, max s);  p[t] = 2^(s[t] - m'), 0 beyond length;  l = l 2^(m - m') + sum p (16 lanes, then
	 * pairwise);  o = o 2^(m - m'), then o = fma(p[t], v[t], o), t ascending;  at the end o / l.  Powers of two below
	 * 2^LLM_LEAST_POWER are 0.  Slots beyond length may hold anything, NaN too: they reach no sum.
	 * Q8_0, with codes k and v:  for groups g ascending, from s = 0, s[t] = fma(d[g][t], sum over i in g of
	 * r[i] k[i][t], s[t]);  o = fma(p[t] d[g][t], v[t], o).
	 */
	void		(*attention) (const LlmAttentionWork *work);

	/* The index of the greatest of x[n]; the first of equals; NaN is never chosen unless all are. */
	int32_t		(*argmax) (const float *x, int32_t n);

	/*
	 * log of the sum of exp(x[i]), i ascending by 16 lanes as in rms_norm, after subtracting max
	 * x; max x itself where that is infinite.
	 */
	float		(*log_sum_exp) (const float *x, int32_t n);
} LlmKernels;

extern const LlmKernels llm_kernels_generic;
extern const LlmKernels llm_kernels_avx2;
extern const LlmKernels llm_kernels_avxvnni;
extern const LlmKernels llm_kernels_avx512;
extern const LlmKernels llm_kernels_amx;
extern const LlmKernels llm_kernels_amx_prompts;
extern const LlmKernels llm_kernels_amx_bf16;

/*
 * The best set without prompt_matmul that this processor and operating system can run (NULL name),
 * or the named one; NULL with *error filled when it is unknown or cannot run here.
 */
extern const LlmKernels *llm_kernels_select(const char *name, LlmError *error);

/*
 * Is the input of a product with BF16 weights rounded to bfloat16, where that doubles the speed?  Not
 * for matrices of few rows, as those for keys and values of grouped queries: they take little time, and their
 * errors reach every later position.
 */
static inline bool
llm_bf16_rounds_input(const LlmMatrix *w)
{
	return w->rows > 1024 || w->rows > w->cols / 2;
}

/* Does this type take int8 activations?  (false: floats) */
extern bool llm_type_takes_int8(LlmTensorType type);

/* Does this set have products of their own for prompts and weights of this type? */
static inline bool
llm_rounds_prompts(const LlmKernels *kernels, LlmTensorType type)
{
	return kernels->round_prompts != NULL && llm_type_takes_int8(type);
}

/* The `block` of the activations that this type takes. */
extern int32_t llm_type_activation_block(LlmTensorType type);

/* What a product with weights of this type reads of an input. */
static inline LlmActivations *
llm_input_for(LlmInput *input, LlmTensorType type)
{
	return llm_type_activation_block(type) == LLM_GROUP ? &input->groups : &input->blocks;
}

/* Floats of a half page and its scales, were both converted. */
static inline size_t
llm_kv_half_page_floats(int32_t head_dim)
{
	size_t		n_groups = ((size_t) head_dim + LLM_GROUP - 1) / LLM_GROUP;

	return n_groups * (LLM_GROUP + 1) * LLM_KV_PAGE;
}

/*
 * Weights of attention below 2^this, beside one of at least 1, change nothing that a float shows unless their values are
 * 2^40 times as great; they are 0, since processors take far longer for the subnormal numbers that they lead to.
 */
#define LLM_LEAST_POWER (-64)

/* What attention multiplies queries with, so that weights are powers of two. */
extern float llm_attention_factor(int32_t head_dim);

/* Two half pages, and for each query its features and two more floats. */
static inline size_t
llm_attention_scratch(int32_t head_dim, int32_t n_queries)
{
	return 2 * llm_kv_half_page_floats(head_dim) + ((size_t) head_dim + 2) * (size_t) n_queries;
}

#endif							/* LLM_KERNELS_H */
