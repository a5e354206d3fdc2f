// The library's side of read_safetensors.py: `exchange_safetensors write <file>` writes what the script expects,
// `exchange_safetensors read <file>` fails unless the file, written by the script, holds the same.
#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>

#include <cstdio>
#include <limits>
#include <string>
#include <vector>

namespace {

using namespace linformer;

// Twin of the tables in read_safetensors.py.
const std::vector<float> weight{0.5F, -0.0F, 0x1p-149F, 3.5F, -std::numeric_limits<float>::infinity(), 65504.0F};
const std::vector<double> step{0x1.999999999999ap-4};
const std::map<std::string, std::string> metadata{{"format", "pt"}, {"name", "K\u0304 \"quoted\"\n"}};

void write(const std::string& path) {
  write_safetensors(path,
                    {safetensors_tensor("layer.0.weight", std::vector<Index>{2, 3}, std::span<const float>(weight)),
                     safetensors_tensor("step", {}, std::span<const double>(step)),
                     safetensors_tensor("empty", std::vector<Index>{0, 4}, std::span<const float>())},
                    metadata);
}

bool read(const std::string& path) {
  const auto file = SafetensorsFile::open(path);
  std::vector<float> weight_read(6), half(2);
  std::vector<double> step_read(1);
  file.read<float>("layer.0.weight", std::vector<Index>{2, 3}, weight_read);
  file.read<double>("step", {}, step_read);
  file.read<float>("half", std::vector<Index>{2}, half);
  file.read<float>("empty", std::vector<Index>{0, 4}, std::span<float>());
  const SafetensorsTensor* const bytes = file.find("bytes");
  return file.tensors().size() == 5 && file.metadata() == metadata && weight_read == weight && step_read == step &&
         half == std::vector<float>{1.5F, 0x1p-24F} && bytes != nullptr && bytes->dtype == Dtype::u8 &&
         detail::characters(bytes->bytes) == "abc";
}

}  // namespace

int main(int argc, char** argv) try {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "write") {
    write(arguments[1]);
    return 0;
  }
  if (arguments.size() == 2 && arguments[0] == "read") return read(arguments[1]) ? 0 : 1;
  return 2;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
