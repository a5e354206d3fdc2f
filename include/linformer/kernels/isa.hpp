#pragma once

#include <linformer/core/error.hpp>
#include <linformer/kernels/amx_permission.hpp>

#include <cstdlib>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// The instruction set that a kernel is written in. Every path gives the same result within its stated bounds; one path
/// gives the same bits on every machine that has it, built by the same compiler.
enum class Isa {
  eigen,        ///< plain Eigen, for any scalar and any processor: the reference
  avx2,         ///< AVX2 and FMA, for `float`; other scalars take Eigen
  avx512,       ///< AVX-512 F, BW, DQ and VL, for `float`; other scalars take Eigen
  avx512_bf16,  ///< the same with AVX-512 BF16, for products of bf16
  amx_bf16,     ///< the same with AMX for products of bf16, which are several times as fast as those of `float`
  neon,         ///< Advanced SIMD of AArch64, for `float`; other scalars take Eigen
};

/// Whether this processor and operating system run a path; asks the latter, where it must be asked (`detail::has_amx`).
[[nodiscard]] inline bool is_supported(Isa isa) {
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
  switch (isa) {
    case Isa::eigen:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
    case Isa::avx512:
      return is_supported(Isa::avx2) && __builtin_cpu_supports("avx512f") != 0 &&
             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
             __builtin_cpu_supports("avx512vl") != 0;
    case Isa::avx512_bf16:
      return is_supported(Isa::avx512) && __builtin_cpu_supports("avx512bf16") != 0;
    case Isa::amx_bf16:
      return is_supported(Isa::avx512_bf16) && detail::has_amx();
    case Isa::neon:
      return false;
  }
  return false;
#elif defined(__aarch64__)
  return isa == Isa::eigen || isa == Isa::neon;  // every AArch64 has it
#else
  return isa == Isa::eigen;
#endif
}

/// The paths by name.
inline constexpr std::pair<std::string_view, Isa> isa_names[] = {
    {"eigen", Isa::eigen},       {"avx2", Isa::avx2}, {"avx512", Isa::avx512}, {"avx512_bf16", Isa::avx512_bf16},
    {"amx_bf16", Isa::amx_bf16}, {"neon", Isa::neon}};

[[nodiscard]] constexpr std::string_view name_of(Isa isa) { return isa_names[static_cast<int>(isa)].first; }

/// The path of a name: eigen, avx2, avx512, avx512_bf16, amx_bf16 or neon.
/// @throws Error invalid_configuration if the name is unknown, unsupported if this machine lacks the instruction set
[[nodiscard]] inline Isa isa_named(std::string_view name) {
  for (const auto& [known, isa] : isa_names) {
    if (name != known) continue;
    detail::require(is_supported(isa), ErrorCode::unsupported, "LINFORMER_ISA", "an instruction set of this processor",
                    name);
    return isa;
  }
  throw Error(ErrorCode::invalid_configuration, "LINFORMER_ISA", "eigen, avx2, avx512, avx512_bf16, amx_bf16 or neon",
              std::string(name));
}

/// The path that calls take unless they say otherwise: the environment's `LINFORMER_ISA`, read once, or else the widest
/// that this processor has. @throws Error as `isa_named`
[[nodiscard]] inline Isa default_isa() {
  static const Isa isa = [] {
    if (const char* name = std::getenv("LINFORMER_ISA")) return isa_named(name);
    for (const Isa widest : {Isa::neon, Isa::amx_bf16, Isa::avx512_bf16, Isa::avx512, Isa::avx2}) {
      if (is_supported(widest)) return widest;
    }
    return Isa::eigen;
  }();
  return isa;
}

}  // namespace linformer::inline LINFORMER_ABI
