#pragma once

#include <linformer/core/parameters.hpp>

#include <cstdint>
#include <string_view>

namespace linformer::inline LINFORMER_ABI {

/// 64 bits that tell data apart, unless someone sets out to deceive: FNV-1a (Fowler, Noll and Vo), the same on every
/// machine that keeps the lowest byte of a number first.
class Fingerprint {
 public:
  void take(std::uint64_t word) {
    for (int shift = 0; shift < 64; shift += 8) hash_ = (hash_ ^ (word >> shift & 255)) * 0x100000001B3;
  }
  void take(std::string_view bytes) {
    take(bytes.size());
    for (const char byte : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  }
  /// Names and values of all parameters of a module.
  template <class Module>
  void take_parameters(const Module& module) {
    module.for_each_parameter([&](const ParameterName& name, Shape, auto values) {
      take(name.view());
      take(std::string_view(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
    });
  }

  [[nodiscard]] std::uint64_t value() const noexcept { return hash_; }

 private:
  std::uint64_t hash_ = 0xCBF29CE484222325;
};

}  // namespace linformer::inline LINFORMER_ABI
