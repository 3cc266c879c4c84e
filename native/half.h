// Products in bfloat16 with sums in float32, for processors that have them: Intel's AMX tiles, or the
// dot products of AVX512-BF16. Which of the two runs is decided once; neither: `half_products` is none.
//
// Weights lie as in the panels of tile.h, with pairs of arguments side by side:
// panel[k / 2][gate][lane][k % 2]; arguments are rows of bfloat16, both padded with zeros to
// `half_depth` arguments, and arguments to whole blocks of 16 rows.
#pragma once
#include <cstdlib>

#include "simd.h"
#if RECURRA_BYTES == 64 && defined(__linux__) && defined(__x86_64__)
#define RECURRA_HALF 1
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define RECURRA_HALF 0
#endif

namespace RECURRA_NAMESPACE {

using Half = uint16_t;
constexpr long half_rows = 16, half_step = 32;  // of a tile of AMX: rows, and arguments in a row
inline long half_depth(long depth) { return (depth + half_step - 1) / half_step * half_step; }
inline long whole_blocks(long rows) { return (rows + half_rows - 1) / half_rows * half_rows; }

enum class HalfProducts { none, dots, tiles };

#if RECURRA_HALF

#define RECURRA_DOTS __attribute__((target("avx512bf16")))
#define RECURRA_TILES __attribute__((target("avx512bf16,amx-tile,amx-bf16")))

// RECURRA_AMX=off in the environment leaves the tiles alone: for tests, and to measure.
inline HalfProducts find_half_products() {
  unsigned a, b, c, d;
  if (!__builtin_cpu_supports("avx512bf16")) return HalfProducts::none;
  const char* amx = std::getenv("RECURRA_AMX");
  if (amx && std::strcmp(amx, "off") == 0) return HalfProducts::dots;
  const bool tiles = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1);
  // Linux hands the tiles' registers to a process that asks: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA.
  return tiles && syscall(SYS_arch_prctl, 0x1023, 18) == 0 ? HalfProducts::tiles : HalfProducts::dots;
}

inline HalfProducts half_products() {
  static const HalfProducts found = find_half_products();
  return found;
}

// The tiles' shapes, for the calling thread; what another library had set comes back afterwards.
class HalfScope {
 public:
  explicit HalfScope(bool wanted) : on_(wanted && half_products() == HalfProducts::tiles) {
    if (on_) begin();
  }
  ~HalfScope() {
    if (on_) end();
  }
  HalfScope(const HalfScope&) = delete;

 private:
  struct alignas(64) Shapes {
    uint8_t palette = 0, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
  };

  // The intrinsics name 8 bytes of the 64 that they read or write.
  static void remember(Shapes* shapes) { asm volatile("" : "+r"(shapes) : : "memory"); }

  RECURRA_TILES void begin() {
    _tile_storeconfig(&before_);
    remember(&before_);
    Shapes shapes;
    shapes.palette = 1;
    for (int t = 0; t < 8; ++t) {
      shapes.bytes[t] = 64;
      shapes.rows[t] = half_rows;
    }
    remember(&shapes);
    _tile_loadconfig(&shapes);
  }
  RECURRA_TILES void end() {
    if (before_.palette) {
      remember(&before_);
      _tile_loadconfig(&before_);
    } else {
      _tile_release();
    }
  }

  const bool on_;
  Shapes before_;
};

// to[row][k] = from[row][k] * factor[row][k] in bfloat16, for `count` of k rounded up to 16, which are
// readable; factor may be null. Rows of `from`, `to`, `factor` are that many elements apart.
RECURRA_DOTS inline void to_half(const float* from, long from_row, const float* factor, long factor_row,
                                 long rows, long count, Half* to, long to_row) {
  for (long b = 0; b < rows; ++b)
    for (long k = 0; k < count; k += 16) {
      const long left = count - k;
      __m512 v = (__m512)load_left<F32>(from + b * from_row + k, left);
      if (factor) v *= (__m512)load_left<F32>(factor + b * factor_row + k, left);
      const __m256bh half = _mm512_cvtneps_pbh(v);
      std::memcpy(to + b * to_row + k, &half, sizeof half);
    }
}

// Two vectors as pairs, element by element, in bfloat16.
RECURRA_DOTS inline __m512i in_pairs(F32 first, F32 second) {
  const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)first));
  const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)second));
  return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

RECURRA_DOTS inline void store_pairs(Half* to, F32 first, F32 second) {
  const __m512i pairs = in_pairs(first, second);
  std::memcpy(to, &pairs, sizeof pairs);
}

// Panels [k][gates][lane] of float32 to panels of pairs; `depth` of k.
RECURRA_DOTS inline void to_half_panel(const float* from, long depth, int gates, Half* to) {
  for (long k = 0; k < half_depth(depth); k += 2)
    for (int g = 0; g < gates; ++g, to += 32) {
      const F32 first = k < depth ? load<F32>(from + (k * gates + g) * 16) : F32{};
      const F32 second = k + 1 < depth ? load<F32>(from + ((k + 1) * gates + g) * 16) : F32{};
      store_pairs(to, first, second);
    }
}

// to[unit][k] = from[k][unit], for 16 units and `depth` of k (zeros up to half_depth): a transposition.
RECURRA_DOTS inline void to_half_columns(const float* from, long from_row, long depth, Half* to, long to_row) {
  for (long k0 = 0; k0 < half_depth(depth); k0 += half_step) {
    F32 pairs[16];
    for (long j = 0; j < 16; ++j) {
      const long k = k0 + 2 * j;
      pairs[j] = (F32)in_pairs(k < depth ? load<F32>(from + k * from_row) : F32{},
                               k + 1 < depth ? load<F32>(from + (k + 1) * from_row) : F32{});
    }
    transpose(pairs);
    for (long unit = 0; unit < 16; ++unit) std::memcpy(to + unit * to_row + k0, &pairs[unit], 64);
  }
}

// Sums of 16 rows and N columns of 16 (gates or panels, `column` elements apart; a row of pairs is
// `pair` elements from the next), as `tile`: c = start, or what is in c, and the product.
template <int N>
RECURRA_TILES void half_tile(const Half* a, long a_row, const Half* b, long pair, long column, long depth,
                             float* c, long c_row, const float* start) {
  const long from_row = start ? 0 : c_row * 4;
  const float* from = start ? start : c;
  asm volatile("" ::: "memory");  // the intrinsics do not say that they read memory
#define RECURRA_EACH(F)             \
  F(0, 5)                           \
  if constexpr (N > 1) { F(1, 6) }  \
  if constexpr (N > 2) { F(2, 7) }  \
  if constexpr (N > 3) { F(3, 5) }
#define RECURRA_BEGIN(n, t) _tile_loadd(n, from + n * 16, from_row);
#define RECURRA_ADD(n, t)                        \
  _tile_loadd(t, b + n * column, pair * 2);      \
  _tile_dpbf16ps(n, 4, t);
#define RECURRA_END(n, t) _tile_stored(n, c + n * 16, c_row * 4);
  RECURRA_EACH(RECURRA_BEGIN)
  for (long k = 0; k < depth; k += half_step, b += half_step / 2 * pair) {
    _tile_loadd(4, a + k, a_row * 2);
    RECURRA_EACH(RECURRA_ADD)
  }
  RECURRA_EACH(RECURRA_END)
#undef RECURRA_EACH
#undef RECURRA_BEGIN
#undef RECURRA_ADD
#undef RECURRA_END
}

// The same with dot products, for MR rows.
template <int MR, int N>
RECURRA_DOTS void half_dots(const Half* a, long a_row, const Half* b, long pair, long column, long depth,
                            float* c, long c_row, const float* start) {
  __m512 sum[MR][N];
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sum[m][n] = _mm512_loadu_ps((start ? start : c + m * c_row) + n * 16);
  for (long k = 0; k < depth; k += 2, b += pair) {
    __m512i weight[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) weight[n] = _mm512_loadu_si512(b + n * column);
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      int32_t both;
      std::memcpy(&both, a + m * a_row + k, 4);
      const __m512i value = _mm512_set1_epi32(both);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sum[m][n] = _mm512_dpbf16_ps(sum[m][n], (__m512bh)value, (__m512bh)weight[n]);
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) _mm512_storeu_ps(c + m * c_row + n * 16, sum[m][n]);
}

template <int N>
void half_block(const Half* a, long a_row, long rows, const Half* b, long pair, long column, long depth,
                float* c, long c_row, const float* start) {
  if (half_products() == HalfProducts::tiles) {
    if (rows == half_rows) return half_tile<N>(a, a_row, b, pair, column, depth, c, c_row, start);
    float whole[half_rows * N * 16];  // a tile has 16 rows: those beyond are thrown away
    for (long m = 0; !start && m < half_rows; ++m)
      std::memcpy(whole + m * N * 16, c + (m < rows ? m : 0) * c_row, N * 64);
    half_tile<N>(a, a_row, b, pair, column, depth, whole, N * 16, start);
    for (long m = 0; m < rows; ++m) std::memcpy(c + m * c_row, whole + m * N * 16, N * 64);
    return;
  }
  long m = 0;
  for (; m + 6 <= rows; m += 6)
    half_dots<6, N>(a + m * a_row, a_row, b, pair, column, depth, c + m * c_row, c_row, start);
  for (; m + 2 <= rows; m += 2)
    half_dots<2, N>(a + m * a_row, a_row, b, pair, column, depth, c + m * c_row, c_row, start);
  for (; m < rows; ++m)
    half_dots<1, N>(a + m * a_row, a_row, b, pair, column, depth, c + m * c_row, c_row, start);
}

// The same for 1 to 4 columns.
inline void half_columns(const Half* a, long a_row, long rows, const Half* b, long pair, long column,
                         int columns, long depth, float* c, long c_row, const float* start) {
  switch (columns) {
    case 1: return half_block<1>(a, a_row, rows, b, pair, column, depth, c, c_row, start);
    case 2: return half_block<2>(a, a_row, rows, b, pair, column, depth, c, c_row, start);
    case 3: return half_block<3>(a, a_row, rows, b, pair, column, depth, c, c_row, start);
    default: return half_block<4>(a, a_row, rows, b, pair, column, depth, c, c_row, start);
  }
}

// c = start (null: c) + a * b, for any number of rows and `columns` of 16: gates of a panel, or panels.
//   a  (rows, half_depth), `a_row` apart and whole blocks of rows readable
//   b  column n at b + n * column, its rows of pairs `pair` apart
inline void half_multiply(const Half* a, long a_row, long rows, const Half* b, long pair, long column,
                          int columns, long depth, float* c, long c_row, const float* start) {
  const long whole = half_depth(depth);
  // Weights that stay in the first-level cache while the rows pass.
  const long range = rows <= half_rows ? whole : 256;
  for (int n = 0; n < columns; n += 4) {
    const int many = columns - n < 4 ? columns - n : 4;
    for (long k = 0; k < whole; k += range) {
      const long part = whole - k < range ? whole - k : range;
      const float* from = k || !start ? nullptr : start + n * 16;
      const Half* at = b + n * column + k / 2 * pair;
      for (long m = 0; m < rows; m += half_rows) {
        const long block = rows - m < half_rows ? rows - m : half_rows;
        half_columns(a + m * a_row + k, a_row, block, at, pair, column, many, part,
                     c + m * c_row + n * 16, c_row, from);
      }
    }
  }
}

#else

inline HalfProducts half_products() { return HalfProducts::none; }

struct HalfScope {
  explicit HalfScope(bool) {}
};

// Never called.
void to_half(const float*, long, const float*, long, long, long, Half*, long);
void store_pairs(Half*, F32, F32);
void to_half_panel(const float*, long, int, Half*);
void to_half_columns(const float*, long, long, Half*, long);
void half_columns(const Half*, long, long, const Half*, long, long, int, long, float*, long, const float*);
void half_multiply(const Half*, long, long, const Half*, long, long, int, long, float*, long, const float*);

#endif

// Whether there are such products of vectors V.
template <class V>
constexpr bool has_half = RECURRA_HALF && std::is_same_v<V, F32>;

}  // namespace RECURRA_NAMESPACE
