// Uses the library's own inline functions, and calls an object of another instruction set that uses them too, but hands
// it numbers only: must link and run. It keeps clear of Eigen's dynamic matrices, whose allocation is not tagged with
// the instruction set: a program in which objects of both kinds allocate such matrices may crash.
#include <linformer/core/random.hpp>
#include <linformer/core/workspace.hpp>

#include <cstdio>
#include <cstring>

float library_number(std::uint64_t seed);

int main(int, char** arguments) {
  const bool runs = std::strcmp(arguments[1], "avx2") == 0
                        ? __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
                        : __builtin_cpu_supports("avx512f");
  if (!runs) {
    std::printf("skipped: linked as it should, but this processor has no %s to run it\n", arguments[1]);
    return 0;
  }
  linformer::Workspace workspace;
  float* scratch = workspace.matrix<float>(1, 1).data();
  *scratch = static_cast<float>(linformer::RandomStream(1).words(1)[0]);
  return *scratch == library_number(1) ? 0 : 1;
}
