#include <linformer/kernels/isa.hpp>

#include "support/catch.hpp"
#include "support/isa.hpp"

#include <cstdlib>
#include <string_view>

using namespace linformer;

namespace {

constexpr std::pair<std::string_view, Isa> names[] = {{"eigen", Isa::eigen},       {"avx2", Isa::avx2},
                                                      {"avx512", Isa::avx512},     {"avx512_bf16", Isa::avx512_bf16},
                                                      {"amx_bf16", Isa::amx_bf16}, {"neon", Isa::neon}};

}  // namespace

TEST_CASE("every machine runs the plain path, and AVX-512 only beside AVX2", "[isa]") {
  CHECK(is_supported(Isa::eigen));
  CHECK((is_supported(Isa::avx2) || !is_supported(Isa::avx512)));
  CHECK((is_supported(Isa::avx512) || !is_supported(Isa::avx512_bf16)));
  CHECK((is_supported(Isa::avx512_bf16) || !is_supported(Isa::amx_bf16)));
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
  CHECK(is_supported(Isa::avx512));  // or this program would not run
#elif defined(__AVX2__) && defined(__FMA__)
  CHECK(is_supported(Isa::avx2));
#elif defined(__aarch64__)
  CHECK(is_supported(Isa::neon));
#endif
}

TEST_CASE("a path is found by its name where this machine runs it", "[isa]") {
  for (const auto& [name, isa] : names) {
    CAPTURE(name);
    CHECK(name_of(isa) == name);
    if (is_supported(isa)) {
      CHECK(isa_named(name) == isa);
      continue;
    }
    try {
      static_cast<void>(isa_named(name));
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::unsupported);
      CHECK(error.tensor() == "LINFORMER_ISA");
      CHECK(error.actual() == name);
    }
  }
}

TEST_CASE("an unknown path is an error that lists the known ones", "[isa]") {
  for (const std::string_view name : {"", "AVX2", "avx", "sse"}) {
    try {
      static_cast<void>(isa_named(name));
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_configuration);
      CHECK(error.expected() == "eigen, avx2, avx512, avx512_bf16, amx_bf16 or neon");
      CHECK(error.actual() == name);
    }
  }
}

TEST_CASE("the default path is the environment's, else the widest", "[isa]") {
  const char* name = std::getenv("LINFORMER_ISA");
  CHECK(default_isa() == (name != nullptr ? isa_named(name) : supported_isas().back()));
}
