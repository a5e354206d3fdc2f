// Any bytes are either refused by a SafetensorsFailure, or are a file that can be read whole and written again: what is
// written is a valid file with the same tensors.
#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace linformer;

void require(bool holds) {
  if (!holds) std::abort();
}

std::string written(const SafetensorsFile& file) {
  std::vector<SafetensorsTensor> tensors = file.tensors();
  detail::arrange_tensors("again", tensors);
  std::string bytes = detail::header_bytes("again", tensors, file.metadata());
  for (const SafetensorsTensor& tensor : tensors) bytes += detail::characters(tensor.bytes);
  return bytes;
}

void check(std::span<const std::byte> bytes) try {
  const auto file = SafetensorsFile::parse("input", bytes);
  for (const SafetensorsTensor& tensor : file.tensors()) {
    require(file.find(tensor.name) == &tensor);
    if (!is_floating_point(tensor.dtype)) continue;
    std::vector<double> values(tensor.bytes.size() / dtype_size(tensor.dtype));
    file.read<double>(tensor.name, tensor.shape, values);
  }
  const std::string copy = written(file);
  const auto again = SafetensorsFile::parse("again", std::as_bytes(std::span(copy)));
  require(again.metadata() == file.metadata() && again.tensors().size() == file.tensors().size());
  for (const SafetensorsTensor& tensor : file.tensors()) {
    const SafetensorsTensor* const same = again.find(tensor.name);
    require(same != nullptr && same->dtype == tensor.dtype && same->shape == tensor.shape &&
            detail::characters(same->bytes) == detail::characters(tensor.bytes));
  }
  require(written(again) == copy);
} catch (const SafetensorsFailure& failure) {
  require(failure.tensor().rfind("input", 0) == 0);  // what has been read can be written
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  check(bytes);
  // The same bytes as header and data behind a length that is right, so that the parser is reached as often as the
  // length's own checks: the header ends at the last brace.
  const std::string text(detail::characters(bytes));
  const std::uint64_t length = text.rfind('}') == std::string::npos ? size : text.rfind('}') + 1;
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  file += text;
  check(std::as_bytes(std::span(file)));
  return 0;
}
