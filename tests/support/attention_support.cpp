#define LINFORMER_TEST_INSTANTIATE

#include "support/attention_support.hpp"
