#pragma once

#include <linformer/core/error.hpp>
#include <linformer/parallel/world.hpp>
#include <linformer/train/flat_values.hpp>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// Values of a module that processes share out, exchanged in buckets: so many values at a time, whatever parameters
/// they belong to, so that small parameters share a message and large ones need no second copy of theirs. One bucket
/// after another, each by a collective that blocks.
template <Scalar T, World W>
class BucketExchange {
 public:
  /// @param values of the module; @param bucket of them at a time
  /// @throws Error invalid_configuration for a bucket below 1
  BucketExchange(W world, Index values, Index bucket) : world_(std::move(world)), values_(values), bucket_(bucket) {
    detail::require(bucket >= 1, ErrorCode::invalid_configuration, "bucket", "at least 1", std::to_string(bucket));
  }

  /// The values that belong to this process where they are shared out: its part of each bucket, in rising order.
  [[nodiscard]] std::vector<Part> own_parts() const {
    std::vector<Part> parts;
    for_each_bucket([&](Part bucket) { parts.push_back(own_part(bucket)); });
    return parts;
  }

  /// The values that belong to this process become their sums over the processes; the others are not touched.
  void reduce_scatter(const FlatValues<T>& values) {
    for_each_bucket([&](Part bucket) {
      const std::span<T> buffer = filled_buffer(values, bucket);
      world_.reduce_scatter(buffer);
      const Part own = own_part(bucket);
      values.copy_from(own, buffer.data() + (own.begin - bucket.begin));
    });
  }

  /// Every value becomes what the process has there to which it belongs.
  void all_gather(const FlatValues<T>& values) {
    for_each_bucket([&](Part bucket) {
      const std::span<T> buffer = filled_buffer(values, bucket);
      world_.all_gather(buffer);
      values.copy_from(bucket, buffer.data());
    });
  }

  /// Puts together what every process has of the values that belong to it.
  /// @param own the values of this process, `begin` the first of them; @param whole where they go, null for nowhere
  void gather(const FlatValues<const T>& own, Index begin, const FlatValues<T>* whole, Index whole_begin) {
    for_each_bucket([&](Part bucket) {
      const Part part = own_part(bucket);
      const std::span<T> buffer = empty_buffer(bucket);
      own.copy_to({begin, begin + part.size()}, buffer.data() + (part.begin - bucket.begin));
      begin += part.size();
      world_.all_gather(buffer);
      if (whole != nullptr) whole->copy_from({whole_begin + bucket.begin, whole_begin + bucket.end}, buffer.data());
    });
  }

 private:
  template <class F>
  void for_each_bucket(const F& f) const {
    for (Index begin = 0; begin < values_; begin += bucket_) f(Part{begin, std::min(values_, begin + bucket_)});
  }

  [[nodiscard]] Part own_part(Part bucket) const {
    const Part part = part_of_rank(bucket.size(), world_.rank(), world_.size());
    return {bucket.begin + part.begin, bucket.begin + part.end};
  }

  std::span<T> empty_buffer(Part bucket) {
    if (buffer_.size() == 0) buffer_.resize(std::min(values_, bucket_));
    return {buffer_.data(), static_cast<std::size_t>(bucket.size())};
  }
  std::span<T> filled_buffer(const FlatValues<T>& values, Part bucket) {
    const std::span<T> buffer = empty_buffer(bucket);
    values.copy_to(bucket, buffer.data());
    return buffer;
  }

  W world_;
  Index values_, bucket_;
  Vector<T> buffer_;
};

}  // namespace linformer::inline LINFORMER_ABI
