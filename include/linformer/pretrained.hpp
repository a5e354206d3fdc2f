#pragma once

// Models and layers from other libraries' checkpoints, and Linformers made of them. Link linformer::io, which brings
// nlohmann-json; POSIX only.

#include <linformer/pretrained/attention_heads.hpp>
#include <linformer/pretrained/conversion.hpp>
#include <linformer/pretrained/conversion_cost.hpp>
#include <linformer/pretrained/distillation.hpp>
#include <linformer/pretrained/fairseq_attention.hpp>
#include <linformer/pretrained/fit_projections.hpp>
#include <linformer/pretrained/growth.hpp>
#include <linformer/pretrained/linformer_pytorch_attention.hpp>
#include <linformer/pretrained/load_pretrained.hpp>
#include <linformer/pretrained/lucidrains_attention.hpp>
#include <linformer/pretrained/projection_advice.hpp>
#include <linformer/pretrained/save_pretrained.hpp>
#include <linformer/pretrained/spectrum.hpp>
