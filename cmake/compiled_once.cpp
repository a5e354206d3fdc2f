#include "compiled_once.hpp"

LINFORMER_COMPILED_ONCE(template)
