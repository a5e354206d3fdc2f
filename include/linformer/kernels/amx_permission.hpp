#pragma once

#include <linformer/core/abi.hpp>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace linformer::inline LINFORMER_ABI::detail {

/// Whether the processor multiplies tiles of bf16 and the system lets this process. Linux, from 5.16 on, does for those
/// that ask, which the first call does, for good and for all threads: one that computes with tiles has 8 KiB more to
/// save, and an alternate signal stack (`sigaltstack`) must have room for them; where a thread already has one without,
/// Linux refuses. A program that is not to ask runs with `LINFORMER_ISA=avx512_bf16`, or another path.
[[nodiscard]] inline bool has_amx() {
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)
  static const bool granted = [] {
    constexpr unsigned amx_bf16 = 1U << 22, amx_tile = 1U << 24;  // of CPUID 7, EDX
    constexpr long request_permission = 0x1023, tile_data = 18;   // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & amx_bf16) != 0 && (d & amx_tile) != 0 &&
           syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  }();
  return granted;
#else
  return false;
#endif
}

}  // namespace linformer::inline LINFORMER_ABI::detail
