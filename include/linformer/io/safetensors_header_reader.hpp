#pragma once

#include <linformer/io/safetensors_tensor.hpp>

#include <nlohmann/json.hpp>

#include <array>
#include <map>
#include <set>
#include <string_view>

namespace linformer::inline LINFORMER_ABI::detail {

/// What the header of a safetensors file says.
struct SafetensorsHeader {
  std::vector<SafetensorsTensor> tensors;
  std::map<std::string, std::string> metadata;
};

inline constexpr std::string_view metadata_key = "__metadata__";

/// Takes the header from nlohmann-json's parser event by event. A rule is checked at the event that breaks it, so that
/// no more of a wrong header is kept, nor nested, than a right one could have. Every member function throws
/// SafetensorsFailure; none returns false.
class HeaderReader {
 public:
  HeaderReader(const std::string& file, std::span<const std::byte> data, SafetensorsHeader& header)
      : file_(file), data_(data), header_(header) {}

  bool null() { return refuse("null"); }
  bool boolean(bool) { return refuse("a boolean"); }
  bool number_integer(std::int64_t) { return refuse("a negative number"); }
  bool number_float(double, const std::string&) { return refuse("a number that is no 64-bit integer"); }
  bool binary(nlohmann::json::binary_t&) { return refuse("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
        fail(SafetensorsError::size_overflow, "a size that can be addressed", std::to_string(value));
      }
      tensor_.shape.push_back(static_cast<Index>(value));
    } else if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_++ == 0 ? begin_ : end_) = value;
    } else {
      refuse(place_ == Place::offsets ? "a third number" : "a number");
    }
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::metadata) {
      header_.metadata[key_] = std::move(value);
    } else if (place_ == Place::tensor && field_ == dtype) {
      const auto known = dtype_of_name(value);
      if (!known) fail(SafetensorsError::unknown_dtype, "a dtype of the format", printable(value));
      tensor_.dtype = *known;
    } else {
      refuse("a string");
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == Place::before) {
      place_ = Place::header;
    } else if (place_ == Place::header && key_ == metadata_key) {
      place_ = Place::metadata;
    } else if (place_ == Place::header) {
      place_ = Place::tensor;
      tensor_ = SafetensorsTensor();
      tensor_.name = key_;
      seen_ = {};
    } else {
      refuse_nesting("an object");
    }
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ == Place::tensor && field_ == shape) {
      place_ = Place::shape;
    } else if (place_ == Place::tensor && field_ == data_offsets) {
      place_ = Place::offsets;
      offsets_ = 0;
    } else {
      refuse_nesting("an array");
    }
    return true;
  }

  bool key(std::string& value) {
    bool repeated = false;
    if (place_ == Place::tensor) {
      field_ = 0;
      while (field_ < field_names.size() && field_names[field_] != value) ++field_;
      if (field_ == field_names.size()) {
        fail(SafetensorsError::unknown_field, "dtype, shape and data_offsets alone", printable(value));
      }
      repeated = std::exchange(seen_[field_], true);
    } else {
      repeated = place_ == Place::metadata ? header_.metadata.contains(value) : !names_.insert(value).second;
      key_ = value;
    }
    if (repeated) fail(SafetensorsError::duplicate_key, "every key once", "a second " + printable(value));
    return true;
  }

  bool end_array() {
    if (place_ == Place::offsets && offsets_ != 2) {
      fail(SafetensorsError::invalid_offsets, "two numbers", std::to_string(offsets_));
    }
    place_ = Place::tensor;
    return true;
  }

  bool end_object() {
    if (place_ == Place::tensor) finish_tensor();
    place_ = place_ == Place::header ? Place::after : Place::header;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    key_.clear();
    fail(place_ == Place::after ? SafetensorsError::trailing_bytes : SafetensorsError::invalid_json,
         place_ == Place::after ? "spaces after the header's object" : "a header of JSON",
         "something else at " + std::to_string(position));
  }

 private:
  enum class Place { before, header, metadata, tensor, shape, offsets, after };
  enum Field : std::size_t { dtype, shape, data_offsets };
  static constexpr std::array<std::string_view, 3> field_names{"dtype", "shape", "data_offsets"};

  [[noreturn]] void fail(SafetensorsError rule, std::string expected, std::string actual) const {
    throw SafetensorsFailure(rule, file_, key_, std::move(expected), std::move(actual));
  }

  /// Fails for a value of the wrong kind, by the rule of the place where it stands.
  [[noreturn]] bool refuse(const char* actual) const {
    const bool in_tensor = place_ == Place::tensor;
    if (place_ == Place::metadata) fail(SafetensorsError::invalid_metadata, "a string", actual);
    if (place_ == Place::shape || (in_tensor && field_ == shape)) {
      fail(SafetensorsError::invalid_shape, "an array of non-negative integers", actual);
    }
    if (place_ == Place::offsets || (in_tensor && field_ == data_offsets)) {
      fail(SafetensorsError::invalid_offsets, "an array of two non-negative integers", actual);
    }
    if (in_tensor) fail(SafetensorsError::unknown_dtype, "a dtype's name", actual);
    if (key_ == metadata_key) fail(SafetensorsError::invalid_metadata, "an object of strings", actual);
    fail(SafetensorsError::tensor_not_object, "an object", actual);
  }

  [[noreturn]] void refuse_nesting(const char* actual) const {
    if (place_ == Place::shape || place_ == Place::offsets) {
      fail(SafetensorsError::nesting_too_deep, "a number", actual);
    }
    refuse(actual);
  }

  void finish_tensor() {
    for (std::size_t field = 0; field < field_names.size(); ++field) {
      if (!seen_[field]) fail(SafetensorsError::missing_field, std::string(field_names[field]), "none");
    }
    if (end_ < begin_) {
      fail(SafetensorsError::offsets_reversed, "an end of at least " + std::to_string(begin_), std::to_string(end_));
    }
    if (end_ > data_.size()) {
      fail(SafetensorsError::offsets_beyond_data, "an end of at most " + std::to_string(data_.size()),
           std::to_string(end_));
    }
    require_byte_count(file_, tensor_, end_ - begin_);
    tensor_.bytes = data_.subspan(static_cast<std::size_t>(begin_), static_cast<std::size_t>(end_ - begin_));
    header_.tensors.push_back(std::move(tensor_));
  }

  const std::string& file_;
  std::span<const std::byte> data_;
  SafetensorsHeader& header_;
  std::set<std::string> names_;  // every key of the outer object so far

  Place place_ = Place::before;
  std::string key_;  // the tensor, or the key of metadata, that is being read
  SafetensorsTensor tensor_;
  std::size_t field_ = dtype;
  std::array<bool, 3> seen_{};
  std::uint64_t begin_ = 0, end_ = 0;
  int offsets_ = 0;
};

}  // namespace linformer::inline LINFORMER_ABI::detail
