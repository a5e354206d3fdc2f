#pragma once

#include <linformer/core/matrix.hpp>
#include <linformer/core/normal_table.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

// Randomness without state: every number is a pure function of a seed and an address (which site, step, token, row), so
// nothing depends on the order of calls or on the number of threads. From word to number there are only integer steps,
// exact floating-point steps and the roundings that are named: the same bits on every compiler and instruction set.

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// `N` Philox counters: element [w][lane] is word w of a lane, so that compilers vectorise over lanes.
template <std::size_t N>
using PhiloxLanes = std::array<std::array<std::uint32_t, N>, 4>;

template <std::size_t N>
constexpr void philox_lanes(PhiloxLanes<N>& c, std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    for (std::size_t lane = 0; lane < N; ++lane) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0][lane], p1 = std::uint64_t{0xCD9E8D57} * c[2][lane];
      c[0][lane] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][lane] ^ key[0];
      c[1][lane] = static_cast<std::uint32_t>(p1);
      c[2][lane] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][lane] ^ key[1];
      c[3][lane] = static_cast<std::uint32_t>(p0);
    }
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
}

constexpr std::array<std::uint32_t, 4> philox_counter(std::uint64_t a, std::uint64_t b) noexcept {
  return {static_cast<std::uint32_t>(a), static_cast<std::uint32_t>(a >> 32), static_cast<std::uint32_t>(b),
          static_cast<std::uint32_t>(b >> 32)};
}

/// Where the magnitude m of a normal word falls. m + 1/2 is exact as a double, whose bits are the place: below a zero
/// sign 11 bits of exponent (the octave), 7 of segment, 24 of fraction and 21 zeros.
constexpr std::uint64_t normal_place(std::uint32_t word) noexcept {
  static_assert(std::numeric_limits<double>::is_iec559 && normal_segment_bits == 7 && normal_unit_bits == 28);
  return std::bit_cast<std::uint64_t>(static_cast<double>(static_cast<std::int32_t>(word & 0x7FFFFFFF)) + 0.5);
}

/// Index of the knot where the segment of `word` starts.
constexpr std::uint32_t normal_index(std::uint32_t word) noexcept {
  return static_cast<std::uint32_t>(normal_place(word) >> 45) - (1022U << 7);
}

/// The normal value of `word`, whose segment falls from `knot` to `next`.
template <Scalar T>
constexpr T normal_value(std::uint32_t word, std::int32_t knot, std::int32_t next) noexcept {
  const auto fraction = static_cast<std::uint32_t>(normal_place(word) >> 21) & 0xFFFFFF;
  const auto fallen = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(knot - next)) * fraction) >> 24;
  const std::int32_t magnitude = knot - static_cast<std::int32_t>(fallen);
  const std::int32_t sign = -static_cast<std::int32_t>(word >> 31);
  return static_cast<T>((magnitude ^ sign) - sign) * T{0x1p-28};
}

}  // namespace detail

/// Philox4x32-10, a keyed bijection of 128-bit counters whose outputs pass as random: Salmon, Moraes, Dror and Shaw,
/// "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                            std::array<std::uint32_t, 2> key) noexcept {
  detail::PhiloxLanes<1> lanes{{{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}}};
  detail::philox_lanes(lanes, key);
  return {lanes[0][0], lanes[1][0], lanes[2][0], lanes[3][0]};
}

/// A source of random words, itself a plain value: asking for one word never changes another. The top two bits of b
/// keep three uses of the key apart: 00 draws words, 01 derives a stream by number, 10 by name. Philox being a
/// bijection, the block that a stream is derived from is never drawn as words of its parent.
class RandomStream {
 public:
  explicit constexpr RandomStream(std::uint64_t seed) noexcept
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)} {}

  /// Four words at the address (a, b), b < 2^62.
  [[nodiscard]] constexpr std::array<std::uint32_t, 4> words(std::uint64_t a, std::uint64_t b = 0) const {
    eigen_assert(b < by_number);
    return philox(detail::philox_counter(a, b), key_);
  }

  /// The stream at the address (a, b), b < 2^62, say of a layer or a step. s.derive(1).derive(2), s.derive(2).derive(1)
  /// and s.derive(1, 2) are three unrelated streams.
  [[nodiscard]] constexpr RandomStream derive(std::uint64_t a, std::uint64_t b = 0) const {
    eigen_assert(b < by_number);
    return child(a, by_number | b);
  }

  /// The stream of a name, by its 64-bit FNV-1a hash (Fowler, Noll and Vo).
  [[nodiscard]] constexpr RandomStream derive(std::string_view name) const {
    std::uint64_t hash = 0xCBF29CE484222325;
    for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3;
    return child(hash, by_name);
  }

  /// The Philox key, for code that draws many words at once.
  [[nodiscard]] constexpr std::array<std::uint32_t, 2> key() const noexcept { return key_; }

 private:
  static constexpr std::uint64_t by_number = std::uint64_t{1} << 62, by_name = std::uint64_t{1} << 63;

  [[nodiscard]] constexpr RandomStream child(std::uint64_t a, std::uint64_t b) const noexcept {
    const auto block = philox(detail::philox_counter(a, b), key_);
    return RandomStream(block[0] | std::uint64_t{block[1]} << 32);
  }

  std::array<std::uint32_t, 2> key_;
};

/// N(0, 1) from a random word by inversion: the top bit is the sign and the other 31, m, give |z| = -Phi^-1(p) at
/// p = (2m + 1) / 2^33, interpolated linearly in fixed point, 128 segments to an octave of p. |z| < 6.338, less than
/// 3.22e-6 too large at most. `double` holds this multiple of 2^-28 exactly; `float` is that, rounded once.
template <Scalar T>
[[nodiscard]] constexpr T standard_normal(std::uint32_t word) noexcept {
  const std::uint32_t index = detail::normal_index(word);
  return detail::normal_value<T>(word, detail::normal_knots[index], detail::normal_knots[index + 1]);
}

/// Uniform in (0, 1) from a random word, exact: odd multiples of 2^-24 (float, top 23 bits) or of 2^-33 (double).
template <Scalar T>
[[nodiscard]] constexpr T uniform(std::uint32_t word) noexcept {
  constexpr int dropped = std::is_same_v<T, float> ? 9 : 0;
  return static_cast<T>(std::int64_t{word >> dropped} * 2 + 1) * (dropped ? T{0x1p-24} : T{0x1p-33});
}

/// Uniform in (-1, 1) from a random word, exact: odd multiples of 2^-24 (float, top 24 bits) or of 2^-32 (double).
template <Scalar T>
[[nodiscard]] constexpr T symmetric_uniform(std::uint32_t word) noexcept {
  constexpr int dropped = std::is_same_v<T, float> ? 8 : 0;
  constexpr std::int64_t one = std::int64_t{1} << (32 - dropped);
  return static_cast<T>(std::int64_t{word >> dropped} * 2 + 1 - one) * (T{1} / static_cast<T>(one));
}

namespace detail {

inline constexpr Index random_lanes = 32;
template <class V>
using RandomBlock = std::array<V, 4 * random_lanes>;

/// out[t * stride + i] = value of word i % 4 of stream.words(first + t, i / 4), for t < tokens and i < rows;
/// convert(words, values) values a block. Counters run on from token to token, so that lanes fill whatever `rows` is.
template <Scalar T, class Convert>
void generate(const RandomStream& stream, Index first, Index tokens, Index rows, T* out, Index stride,
              const Convert& convert) {
  eigen_assert(first >= 0 && tokens >= 0 && rows >= 0 && (stride >= rows || tokens <= 1));
  const Index quads = (rows + 3) / 4;
  PhiloxLanes<random_lanes> lanes;
  RandomBlock<std::uint32_t> words;
  RandomBlock<T> values;
  for (Index token = 0, quad = 0; token < tokens && rows > 0;) {
    Index t = token, q = quad;
    for (std::size_t lane = 0; lane < random_lanes; ++lane) {
      const auto counter = philox_counter(static_cast<std::uint64_t>(first + t), static_cast<std::uint64_t>(q));
      for (std::size_t w = 0; w < 4; ++w) lanes[w][lane] = counter[w];
      if (++q == quads) q = 0, ++t;
    }
    philox_lanes(lanes, stream.key());
    for (std::size_t lane = 0; lane < random_lanes; ++lane) {
      for (std::size_t w = 0; w < 4; ++w) words[4 * lane + w] = lanes[w][lane];
    }
    convert(words, values);
    for (Index lane = 0; lane < random_lanes && token < tokens;) {
      const Index run = std::min(random_lanes - lane, quads - quad);  // counters that belong to this token
      std::copy_n(values.data() + 4 * lane, std::min(4 * run, rows - 4 * quad), out + token * stride + 4 * quad);
      lane += run;
      if ((quad += run) == quads) quad = 0, ++token;
    }
  }
}

/// A flat array as tokens of four rows. @param first index of out[0], where out is a part of the array
template <Scalar T, class Convert>
void generate(std::span<T> out, const RandomStream& stream, const Convert& convert, Index first = 0) {
  const auto size = static_cast<Index>(out.size());
  const Index lead = std::min((4 - first % 4) % 4, size);  // what is left of a token that begins before out
  if (lead > 0) {
    std::array<T, 4> token;
    generate(stream, first / 4, 1, 4, token.data(), 4, convert);
    std::copy_n(token.begin() + first % 4, lead, out.begin());
  }
  const Index token = (first + lead) / 4, whole = (size - lead) / 4;
  generate(stream, token, whole, 4, out.data() + lead, 4, convert);
  generate(stream, token + whole, 1, (size - lead) % 4, out.data() + lead + 4 * whole, 4, convert);
}

/// standard_normal(word) * scale in sweeps, of which all but the two look-ups vectorise.
template <Scalar T>
auto scaled_normal(T scale) {
  return [scale](const RandomBlock<std::uint32_t>& words, RandomBlock<T>& values) {
    RandomBlock<std::uint32_t> index;
    RandomBlock<std::int32_t> knot, next;
    for (std::size_t i = 0; i < words.size(); ++i) index[i] = normal_index(words[i]);
    for (std::size_t i = 0; i < words.size(); ++i) knot[i] = normal_knots[index[i]];
    for (std::size_t i = 0; i < words.size(); ++i) next[i] = normal_knots[index[i] + 1];
    for (std::size_t i = 0; i < words.size(); ++i) values[i] = normal_value<T>(words[i], knot[i], next[i]) * scale;
  };
}

}  // namespace detail

/// out[i] = standard_normal(word j % 4 of stream.words(j / 4)) * scale, a rounding more, j = first + i.
/// @param first index of out[0], where out is a part of an array
template <Scalar T>
void fill_normal(std::span<T> out, const RandomStream& stream, std::type_identity_t<T> scale, Index first = 0) {
  detail::generate(out, stream, detail::scaled_normal(scale), first);
}

/// out[i] = symmetric_uniform(word i % 4 of stream.words(i / 4)) * scale, rounded once.
template <Scalar T>
void fill_symmetric_uniform(std::span<T> out, const RandomStream& stream, std::type_identity_t<T> scale) {
  detail::generate(out, stream, [scale](const auto& words, auto& values) {
    for (std::size_t i = 0; i < words.size(); ++i) values[i] = symmetric_uniform<T>(words[i]) * scale;
  });
}

/// Columns of a Gaussian E (rows x n), token after token: out[(t - first_token) * stride + i] = E(i, t) =
/// standard_normal(word i % 4 of stream.words(t, i / 4)) * scale. An entry depends on its address alone, so E need not
/// be stored, and every cut of the tokens sees the same E.
template <Scalar T>
void generate_normal(const RandomStream& stream, Index first_token, Index tokens, Index rows,
                     std::type_identity_t<T> scale, T* out, Index stride) {
  detail::generate(stream, first_token, tokens, rows, out, stride, detail::scaled_normal(scale));
}

/// Columns of a Rademacher E (rows x n), laid out likewise: E(i, t) is -scale where bit i % 128 of the four words of
/// stream.words(t, i / 128) is set (bit i % 32 of word i % 128 / 32), else +scale.
template <Scalar T>
void generate_rademacher(const RandomStream& stream, Index first_token, Index tokens, Index rows,
                         std::type_identity_t<T> scale, T* out, Index stride) {
  eigen_assert(first_token >= 0 && tokens >= 0 && rows >= 0 && (stride >= rows || tokens <= 1));
  std::array<std::uint32_t, 32> masks;
  for (std::size_t bit = 0; bit < 32; ++bit) masks[bit] = 1U << bit;
  std::array<T, 128> values;
  for (Index t = 0; t < tokens; ++t) {
    for (Index i = 0; i < rows; i += 128) {
      const auto words = stream.words(static_cast<std::uint64_t>(first_token + t), static_cast<std::uint64_t>(i / 128));
      for (std::size_t w = 0; w < 4; ++w) {
        for (std::size_t j = 0; j < 32; ++j) values[32 * w + j] = static_cast<T>(words[w] & masks[j] ? -1 : 1) * scale;
      }
      std::copy_n(values.data(), std::min(Index{128}, rows - i), out + t * stride + i);
    }
  }
}

}  // namespace linformer::inline LINFORMER_ABI
