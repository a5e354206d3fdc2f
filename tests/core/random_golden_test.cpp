// The bits themselves. A change here changes every generated projection and every training run: never regenerate these
// values to make a failure go away. The build compiles this file a second time with flags that license other arithmetic
// (-O3 -march=native -ffp-contract=fast), because the values must not depend on flags. They come from a separate
// implementation in Python integers, so they also check the vectorised C++ against another reading of its definition.

#include <linformer/core/random.hpp>

#include "support/catch.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace linformer;

namespace {

using Words = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

/// FNV-1a over the bits of whole elements.
template <class T>
std::uint64_t digest(const std::vector<T>& values) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const T value : values) hash = (hash ^ bits(value)) * 0x100000001B3;
  return hash;
}

struct Draw {
  std::uint32_t word, normal_float;
  std::uint64_t normal_double;
  std::uint32_t uniform_float;
  std::uint64_t uniform_double;
  std::uint32_t symmetric_float;
  std::uint64_t symmetric_double;
};

// clang-format off
constexpr std::array<Draw, 12> draws = {{
    {0x00000000, 0x40CAD08D, 0x40195A1199000000, 0x33800000, 0x3DE0000000000000, 0xBF7FFFFF, 0xBFEFFFFFFFE00000},
    {0x00000001, 0x40C55364, 0x4018AA6C80000000, 0x33800000, 0x3DF8000000000000, 0xBF7FFFFF, 0xBFEFFFFFFFA00000},
    {0x00000002, 0x40C2B92D, 0x40185725A5800000, 0x33800000, 0x3E04000000000000, 0xBF7FFFFF, 0xBFEFFFFFFF600000},
    {0x00000003, 0x40C0FDAF, 0x40181FB5D1800000, 0x33800000, 0x3E0C000000000000, 0xBF7FFFFF, 0xBFEFFFFFFF200000},
    {0x243F6A88, 0x3F895E56, 0x3FF12BCAB5000000, 0x3E10FDAC, 0x3FC21FB544400000, 0xBF37812B, 0xBFE6F0255DE00000},
    {0x3FFFFFFF, 0x3F2CAB5C, 0x3FE5956B8A000000, 0x3E7FFFFC, 0x3FCFFFFFFFC00000, 0xBF000001, 0xBFE0000000200000},
    {0x40000000, 0x3F2CAB5C, 0x3FE5956B88000000, 0x3E800002, 0x3FD0000000200000, 0xBEFFFFFE, 0xBFDFFFFFFFC00000},
    {0x7FFFFFFF, 0x31800000, 0x3E30000000000000, 0x3EFFFFFE, 0x3FDFFFFFFFE00000, 0xB3800000, 0xBDF0000000000000},
    {0x80000000, 0xC0CAD08D, 0xC0195A1199000000, 0x3F000001, 0x3FE0000000100000, 0x33800000, 0x3DF0000000000000},
    {0x85A308D3, 0xC000E0F8, 0xC0001C1F00800000, 0x3F05A309, 0x3FE0B4611A700000, 0x3D346110, 0x3FA68C234E000000},
    {0xDEADBEEF, 0xBEAA20D5, 0xBFD5441A9C000000, 0x3F5EADBF, 0x3FEBD5B7DDF00000, 0x3F3D5B7D, 0x3FE7AB6FBBE00000},
    {0xFFFFFFFF, 0xB1800000, 0xBE30000000000000, 0x3F7FFFFF, 0x3FEFFFFFFFF00000, 0x3F7FFFFF, 0x3FEFFFFFFFE00000},
}};

struct Entry {
  Index row, token;
  std::uint32_t normal_float;
  std::uint64_t normal_double;
  int sign;
};

/// Entries of E from RandomStream(200604768).derive("E"), scaled by 0.3 (float: 0.3f).
constexpr std::array<Entry, 8> entries = {{
    {0, 0, 0x3CA39176, 0x3F94722EC0000000, -1},
    {1, 0, 0x3E7CF23F, 0x3FCF9E47CB333333, -1},
    {4, 0, 0x3E8C2D6F, 0x3FD185ADD1333333, 1},
    {255, 0, 0xBD2C5742, 0xBFA58AE833333333, -1},
    {0, 1, 0x3EF0568F, 0x3FDE0AD1B0666666, -1},
    {0, 9999999, 0x3E004D34, 0x3FC009A664000000, -1},
    {129, 9999999, 0x3E0E35BF, 0x3FC1C6B7D2666666, 1},
    {6, 8589934593, 0x3E64F1FC, 0x3FCC9E3F81999999, -1},
}};
// clang-format on

constexpr RandomStream root(200604768);

}  // namespace

TEST_CASE("golden: Philox known answers", "[random][golden]") {
  // Random123, tests/kat_vectors, the three lines "philox4x32 10" (github.com/DEShawResearch/random123).
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8});
  CHECK(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}) == Words{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD});
  CHECK(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}) ==
        Words{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1});
}

TEST_CASE("golden: words and derived keys", "[random][golden]") {
  CHECK(root.key() == Key{200604768, 0});
  CHECK(RandomStream(0x0123456789ABCDEF).key() == Key{0x89ABCDEF, 0x01234567});
  CHECK(root.words(3, 5) == Words{0xC1BE96DE, 0x0F628BFE, 0x9D9571C3, 0xC9DFBE9C});
  CHECK(root.words((std::uint64_t{1} << 40) + 1, (std::uint64_t{1} << 61) + 7) ==
        Words{0xD3344082, 0x60A54AAD, 0x7E01AAAF, 0xE9D98E42});
  CHECK(root.derive(3, 5).key() == Key{0x67E93787, 0xEB93470F});
  CHECK(root.derive("projection").key() == Key{0xA406C285, 0xD56B6AA1});
  CHECK(root.derive(1).derive(2).key() == Key{0xF8C17E28, 0xA13E2145});
  CHECK(root.derive(12).derive("E").words(9, 4) == Words{0x0F71FE5B, 0x2E3DB200, 0x144C9487, 0x8F5A845A});
}

TEST_CASE("golden: numbers from words", "[random][golden]") {
  for (const Draw& draw : draws) {
    CAPTURE(draw.word);
    CHECK(bits(standard_normal<float>(draw.word)) == draw.normal_float);
    CHECK(bits(standard_normal<double>(draw.word)) == draw.normal_double);
    CHECK(bits(uniform<float>(draw.word)) == draw.uniform_float);
    CHECK(bits(uniform<double>(draw.word)) == draw.uniform_double);
    CHECK(bits(symmetric_uniform<float>(draw.word)) == draw.symmetric_float);
    CHECK(bits(symmetric_uniform<double>(draw.word)) == draw.symmetric_double);
  }
}

TEST_CASE("golden: entries of E", "[random][golden]") {
  const RandomStream stream = root.derive("E");
  for (const Entry& entry : entries) {
    CAPTURE(entry.row, entry.token);
    const Index rows = entry.row + 1;
    const auto last = static_cast<std::size_t>(entry.row);
    std::vector<float> f(last + 1);
    std::vector<double> d(last + 1);
    generate_normal(stream, entry.token, 1, rows, 0.3f, f.data(), rows);
    generate_normal(stream, entry.token, 1, rows, 0.3, d.data(), rows);
    CHECK(bits(f[last]) == entry.normal_float);
    CHECK(bits(d[last]) == entry.normal_double);
    generate_rademacher(stream, entry.token, 1, rows, 0.3f, f.data(), rows);
    generate_rademacher(stream, entry.token, 1, rows, 0.3, d.data(), rows);
    CHECK(bits(f[last]) == bits(entry.sign < 0 ? -0.3f : 0.3f));
    CHECK(bits(d[last]) == bits(entry.sign < 0 ? -0.3 : 0.3));
  }
}

TEST_CASE("golden: digests of bulk generation", "[random][golden]") {
  const RandomStream stream = root.derive("E");
  constexpr Index rows = 137, tokens = 61, first = 1000000007;  // odd against every block size in use
  std::vector<float> f(rows * tokens);
  std::vector<double> d(rows * tokens);
  generate_normal(stream, first, tokens, rows, 0.3f, f.data(), rows);
  generate_normal(stream, first, tokens, rows, 0.3, d.data(), rows);
  CHECK(digest(f) == 0x7EFF99C8373B3151);
  CHECK(digest(d) == 0xF932B5E7FA43C1AE);
  generate_rademacher(stream, first, tokens, rows, 0.3f, f.data(), rows);
  generate_rademacher(stream, first, tokens, rows, 0.3, d.data(), rows);
  CHECK(digest(f) == 0x6A6FEEC2B350E72D);
  CHECK(digest(d) == 0x63FF2C47C127FBBE);

  f.resize(4099);
  d.resize(4099);
  fill_normal<float>(f, stream, 0.3f);
  fill_normal<double>(d, stream, 0.3);
  CHECK(digest(f) == 0xA9E7C56632B1E0C4);
  CHECK(digest(d) == 0x4A52A02414040FEA);
  fill_symmetric_uniform<float>(f, stream, 0.3f);
  fill_symmetric_uniform<double>(d, stream, 0.3);
  CHECK(digest(f) == 0x64E525E1C9DA27D8);
  CHECK(digest(d) == 0xF9E0A3498189242A);
}
