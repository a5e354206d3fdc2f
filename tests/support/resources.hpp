#pragma once

#include <linformer/kernels/compute.hpp>

/// What a call of a model computes with.
struct Resources {
  explicit Resources(linformer::Index threads, linformer::Isa isa = linformer::default_isa())
      : pool(threads), execution{pool, workspace, isa} {}

  linformer::ThreadPool pool;
  linformer::Workspace workspace;
  linformer::Execution execution;
};
