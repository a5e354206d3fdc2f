#pragma once

#include <linformer/core/parameters.hpp>
#include <linformer/parallel/part.hpp>

#include <algorithm>
#include <span>

namespace linformer::inline LINFORMER_ABI {

/// Some of a module's values, as a module: parameters are told by their names, but as vectors of the values that belong
/// to it, once for each run of them.
template <class Module>
class Shard {
 public:
  /// @param parts of the module's values in the order of its traversal (`FlatValues`): rising, apart, and alive as long
  Shard(Module& module, std::span<const Part> parts) : module_(module), parts_(parts) {}

  template <class Visitor>
  void for_each_parameter(Visitor&& visitor) const {
    Index begin = 0;
    auto part = parts_.begin();
    module_.for_each_parameter([&](const ParameterName& name, Shape, auto values) {
      const Index end = begin + static_cast<Index>(values.size());
      for (; part != parts_.end() && part->begin < end; ++part) {
        const Index first = std::max(begin, part->begin), count = std::min(end, part->end) - first;
        if (count > 0) {
          visitor(name, Shape(&count, 1),
                  values.subspan(static_cast<std::size_t>(first - begin), static_cast<std::size_t>(count)));
        }
        if (part->end > end) break;  // it goes on in the next parameter
      }
      begin = end;
    });
  }

 private:
  Module& module_;
  std::span<const Part> parts_;
};

}  // namespace linformer::inline LINFORMER_ABI
