// Hands a type of the library to an object of another instruction set: must not link.
#include <linformer/linformer.hpp>

float sum_of_output(const linformer::LinformerAttention<float>* attention);

int main() { return sum_of_output(nullptr) > 0 ? 1 : 0; }
