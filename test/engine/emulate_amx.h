/*
 * emulate_amx.h
 *		Instructions of processors with AMX or AVX-VNNI, computed by AVX-512.
 *
 * With it the sets of kernels that are made of them are tested wherever AVX-512 runs, and the sanitizers see what tiles
 * read and write.  The compiler includes this before amx_*.c, avxvnni_*.c and select.c, and before the tests linked with
 * them (test_*_emulated).  It stands in for tiles (Intel's Software Developer's Manual, volume 2: LDTILECFG, TILELOADD,
 * TDPBSSD, TDPBSUD, TDPBF16PS), for half-precision arithmetic (AVX512-FP16), for the dot products of AVX-VNNI, and for the
 * questions whether the processor has them.
 */
#ifndef EMULATE_AMX_H
#define EMULATE_AMX_H

/* Some of the tests need it, and this is what they include first. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- which processors ------------------------------------------------------------ */

/* Those that have what the files concerned are compiled for. */
static inline int
is_emulated(const char *feature)
{
	return (strncmp(feature, "amx-", 4) == 0 || strcmp(feature, "avx512fp16") == 0 || strcmp(feature, "avxvnni") == 0) &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
		__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi");
}

#define __builtin_cpu_supports(feature) (is_emulated(feature) || __builtin_cpu_supports(feature))

/* Has the process asked for the tiles' registers?  One for all files that include this. */
__attribute__((weak))
int			emulated_tiles_are_granted;

static inline long
grant_tiles(long number,...)
{
	(void) number;
	emulated_tiles_are_granted = 1;
	return 0;
}

#define syscall grant_tiles

/* --- AVX-VNNI ---------------------------------------------------------------------- */

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define _mm256_dpwssd_avx_epi32 _mm256_dpwssd_epi32
#endif

#ifdef __AMX_TILE__

/* --- tiles ------------------------------------------------------------------------- */

/* One thread's registers, for the products of one file: none leaves its tiles to another. */
typedef struct EmulatedTiles
{
	uint8_t		rows[8];
	uint16_t	row_bytes[8];
	__m512i		row[8][16];
} EmulatedTiles;

static _Thread_local EmulatedTiles emulated;

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbsud
#undef _tile_dpbf16ps

#define _tile_loadconfig(shapes) emulate_loadconfig(shapes)
#define _tile_release() memset(&emulated, 0, sizeof(emulated))
#define _tile_zero(tile) memset(emulated.row[tile], 0, sizeof(emulated.row[tile]))
#define _tile_loadd(tile, from, stride) emulate_loadd(tile, (const char *) (from), stride)
#define _tile_stored(tile, to, stride) emulate_stored(tile, (char *) (to), stride)
#define _tile_dpbssd(sum, a, b) emulate_dot_products(sum, a, b, EMULATED_BSSD)
#define _tile_dpbsud(sum, a, b) emulate_dot_products(sum, a, b, EMULATED_BSUD)
#define _tile_dpbf16ps(sum, a, b) emulate_dot_products(sum, a, b, EMULATED_BF16PS)

typedef enum EmulatedProduct
{
	EMULATED_BSSD,
	EMULATED_BSUD,
	EMULATED_BF16PS
} EmulatedProduct;

/* The processor raises an exception where a tile has no shape: it is SIGILL, as for a process that has not asked. */
static inline void
emulate_check(int tile)
{
	if (emulated.rows[tile] == 0)
		__builtin_trap();
}

static inline void
emulate_loadconfig(const void *shapes)
{
	if (!emulated_tiles_are_granted)
		__builtin_trap();
	memset(&emulated, 0, sizeof(emulated));
	for (int tile = 0; tile < 8; tile++)
	{
		memcpy(&emulated.row_bytes[tile], (const char *) shapes + 16 + 2 * tile, 2);
		memcpy(&emulated.rows[tile], (const char *) shapes + 48 + tile, 1);
		if (emulated.rows[tile] > 16 || emulated.row_bytes[tile] > 64)
			__builtin_trap();
	}
}

static inline void
emulate_loadd(int tile, const char *from, int64_t stride)
{
	emulate_check(tile);
	memset(emulated.row[tile], 0, sizeof(emulated.row[tile]));
	for (int m = 0; m < emulated.rows[tile]; m++)
		memcpy(&emulated.row[tile][m], from + m * stride, emulated.row_bytes[tile]);
}

static inline void
emulate_stored(int tile, char *to, int64_t stride)
{
	emulate_check(tile);
	for (int m = 0; m < emulated.rows[tile]; m++)
		memcpy(to + m * stride, &emulated.row[tile][m], emulated.row_bytes[tile]);
}

/* One row's sums with four bytes of each of its row and column: `a` has the row's in every lane. */
static inline __m512i
emulate_bytes(EmulatedProduct product, __m512i sum, __m512i a, __m512i b)
{
	const __m512i offset = _mm512_set1_epi8((char) 0x80);

	if (product == EMULATED_BSUD)
		return _mm512_dpbusd_epi32(sum, b, a);
	sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(a, offset), b);
	return _mm512_sub_epi32(sum, _mm512_dpbusd_epi32(_mm512_setzero_si512(), offset, b));
}

/* Not inlined: all of it is computed with the rounding and the treatment of subnormals that the caller has set. */
static void
__attribute__((noinline, noclone, unused))
emulate_rows(int sum, int a, int b, EmulatedProduct product)
{
	const int	depth = emulated.row_bytes[a] / 4;

	for (int m = 0; m < emulated.rows[sum]; m++)
	{
		__m512		first = _mm512_setzero_ps();
		__m512		second = _mm512_setzero_ps();

		for (int k = 0; k < depth; k++)
		{
			const __m512i upper = _mm512_set1_epi32((int32_t) 0xffff0000);
			const __m512i weights = emulated.row[b][k];
			__m512i		values;
			int32_t		dword;

			memcpy(&dword, (const char *) &emulated.row[a][m] + 4 * k, 4);
			values = _mm512_set1_epi32(dword);
			if (product != EMULATED_BF16PS)
			{
				emulated.row[sum][m] = emulate_bytes(product, emulated.row[sum][m], values, weights);
				continue;
			}
			first = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(values, 16)),
									_mm512_castsi512_ps(_mm512_slli_epi32(weights, 16)), first);
			second = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(values, upper)),
									 _mm512_castsi512_ps(_mm512_and_si512(weights, upper)), second);
		}
		if (product == EMULATED_BF16PS)
			emulated.row[sum][m] = _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(emulated.row[sum][m]),
																	 _mm512_add_ps(first, second)));
	}
}

static inline void
emulate_dot_products(int sum, int a, int b, EmulatedProduct product)
{
	const unsigned int subnormals_are_zeros = 0x8040;
	const unsigned int usual = _mm_getcsr();

	emulate_check(sum);
	if (emulated.rows[sum] != emulated.rows[a] || emulated.rows[b] * 4 != emulated.row_bytes[a] ||
		emulated.row_bytes[sum] != emulated.row_bytes[b])
		__builtin_trap();
	_mm_setcsr(usual | subnormals_are_zeros);
	emulate_rows(sum, a, b, product);
	_mm_setcsr(usual);
}

/* --- halves ------------------------------------------------------------------------ */

#define __m512h __m512i

#define _mm512_set1_ph(x) emulate_set1_ph(x)
#define _mm512_cvtepi16_ph(x) emulate_cvtepi16_ph(x)
#define _mm512_mul_ph(a, b) emulate_halves(a, b, _mm512_set1_epi16((short) 0x8000))
#define _mm512_sub_ph(a, b) emulate_halves(a, _mm512_set1_epi16(0x3c00), _mm512_xor_si512(b, _mm512_set1_epi16((short) 0x8000)))
#define _mm512_fmadd_ph(a, b, c) emulate_halves(a, b, c)

static inline __m512i
emulate_set1_ph(float x)
{
	return _mm512_broadcastw_epi16(_mm_cvtps_ph(_mm_set1_ps(x), _MM_FROUND_TO_NEAREST_INT));
}

static inline __m512i
emulate_cvtepi16_ph(__m512i x)
{
	int16_t		number[32];
	uint16_t	half[32];

	memcpy(number, &x, sizeof(number));
	for (int i = 0; i < 32; i++)
		half[i] = _cvtss_sh((float) number[i], _MM_FROUND_TO_NEAREST_INT);
	memcpy(&x, half, sizeof(half));
	return x;
}

/*
 * a b + c with one rounding.  The product is exact, and what the sum lacks is known exactly (TwoSum, Knuth).  Where it lacks
 * something the float's last bit is made 1, so that the second rounding, to half of its bits, takes it for no middle.
 */
static inline __m512i
emulate_halves(__m512i a, __m512i b, __m512i c)
{
	uint16_t	half[3][32];

	memcpy(half[0], &a, sizeof(half[0]));
	memcpy(half[1], &b, sizeof(half[1]));
	memcpy(half[2], &c, sizeof(half[2]));
	for (int i = 0; i < 32; i++)
	{
		const double product = (double) _cvtsh_ss(half[0][i]) * _cvtsh_ss(half[1][i]);
		const double addend = _cvtsh_ss(half[2][i]);
		const double sum = product + addend;
		const double part = sum - product;
		const double lacks = (product - (sum - part)) + (addend - part);
		float		rounded = (float) sum;

		if (__builtin_isfinite(rounded) && (lacks != 0 || rounded != sum))
		{
			const double error = (sum - rounded) + lacks;
			uint32_t	bits;

			memcpy(&bits, &rounded, 4);
			if ((bits & 1) == 0)
				bits += (error > 0) == (rounded > 0) ? 1 : -1;
			memcpy(&rounded, &bits, 4);
		}
		half[0][i] = _cvtss_sh(rounded, _MM_FROUND_TO_NEAREST_INT);
	}
	memcpy(&a, half[0], sizeof(half[0]));
	return a;
}

#endif							/* __AMX_TILE__ */

#endif							/* EMULATE_AMX_H */
