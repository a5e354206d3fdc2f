#pragma once

#ifdef LINFORMER_BENCH_ONEDNN

#include "prepared_product.hpp"

#include <linformer/kernels/compute.hpp>

#include <dlfcn.h>
#include <dnnl.hpp>

#include <memory>
#include <unordered_map>

namespace linformer::bench {

enum class OnednnLayout {
  ours,    ///< operands and result as ours lie: aᵀ·b, row-major
  packed,  ///< as oneDNN likes it best: bᵀ·a with the rows of bᵀ one after another and a packed beforehand as it
           ///< chooses
};

namespace detail {

[[nodiscard]] inline const dnnl::engine& onednn_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// One thread for oneDNN's calls from this thread; false where that cannot be had. OpenMP's runtime is asked for by
/// name: it is the one that oneDNN has brought, whichever that is, and this program need not be compiled with OpenMP,
/// which would change Eigen's products.
[[nodiscard]] inline bool limit_onednn_threads() {
#if DNNL_CPU_RUNTIME == DNNL_RUNTIME_SEQ
  return true;
#elif DNNL_CPU_RUNTIME == DNNL_RUNTIME_OMP
  void* const symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
  if (symbol == nullptr) return false;
  reinterpret_cast<void (*)(int)>(symbol)(1);
  return true;
#else
  return false;
#endif
}

using OnednnMatmul = dnnl::matmul::primitive_desc;

/// Empty where oneDNN has no such product.
[[nodiscard]] inline OnednnMatmul onednn_matmul(const dnnl::memory::desc& a, const dnnl::memory::desc& b,
                                                const dnnl::memory::desc& out) {
#if DNNL_VERSION_MAJOR >= 3
  return {onednn_engine(), a, b, out, dnnl::primitive_attr(), true};
#else
  return {dnnl::matmul::desc(a, b, out), onednn_engine(), true};
#endif
}

[[nodiscard]] constexpr dnnl::memory::data_type onednn_type(Precision precision) {
  return precision == Precision::full ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

}  // namespace detail

[[nodiscard]] inline bool onednn_offers(Precision precision) {
  if (!detail::limit_onednn_threads()) return false;
  using Desc = dnnl::memory::desc;
  constexpr auto type = dnnl::memory::data_type::f32;
  const dnnl::memory::dims dims{64, 64}, strides{64, 1};
  const Desc operand(dims, detail::onednn_type(precision), strides);
  return static_cast<bool>(detail::onednn_matmul(operand, operand, Desc(dims, type, strides)));
}

/// oneDNN's matmul primitive on one thread; operands rounded to bfloat16 beforehand where that is the precision, the
/// result float.
template <Precision precision, OnednnLayout layout>
[[nodiscard]] PreparedProduct onednn_product(const ConstMatrixRef<float>& a, const ConstMatrixRef<float>& b) {
  using dnnl::memory;
  static_cast<void>(detail::limit_onednn_threads());
  const dnnl::engine& engine = detail::onednn_engine();
  dnnl::stream stream(engine);
  const Index m = a.cols(), n = b.cols(), p = a.rows();
  constexpr auto type = detail::onednn_type(precision);
  constexpr auto single = memory::data_type::f32;
  constexpr bool packed = layout == OnednnLayout::packed;

  // oneDNN's left operand is the transpose of one of ours, its right one the other as it lies.
  const ConstMatrixRef<float>& transposed = packed ? b : a;
  const ConstMatrixRef<float>& plain = packed ? a : b;
  const memory::dims left_dims{transposed.cols(), p}, right_dims{p, plain.cols()};
  const memory::desc left_values(left_dims, single, memory::dims{1, transposed.outerStride()});
  const memory::desc right_values(right_dims, single, memory::dims{plain.outerStride(), 1});
  const memory::desc left = packed ? memory::desc(left_dims, type, memory::dims{p, 1})
                                   : memory::desc(left_dims, type, memory::dims{1, transposed.outerStride()});
  const memory::desc right = packed ? memory::desc(right_dims, type, memory::format_tag::any)
                                    : memory::desc(right_dims, type, memory::dims{plain.outerStride(), 1});
  const auto out = std::make_shared<Matrix<float>>(Matrix<float>::Zero(transposed.cols(), plain.cols()));
  const memory::desc result({out->rows(), out->cols()}, single, memory::dims{out->cols(), 1});
  const detail::OnednnMatmul matmul = detail::onednn_matmul(left, right, result);

  const auto laid_out = [&](const ConstMatrixRef<float>& values, const memory::desc& given,
                            const memory::desc& wanted) {
    memory from(given, engine,
                const_cast<float*>(values.data()));  // NOLINT: oneDNN's memory knows no const; it is read
    if (wanted == given) return from;
    memory to(wanted, engine);
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
    return to;
  };
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, laid_out(transposed, left_values, matmul.src_desc())},
                                            {DNNL_ARG_WEIGHTS, laid_out(plain, right_values, matmul.weights_desc())},
                                            {DNNL_ARG_DST, memory(result, engine, out->data())}};
  const auto run = [out, stream, primitive = dnnl::matmul(matmul), arguments = std::move(arguments)]() mutable {
    primitive.execute(stream, arguments);
    stream.wait();
  };
  const auto values = [out, m, n] {
    Matrix<float> product(m, n);
    if constexpr (layout == OnednnLayout::packed) {
      product = out->transpose();
    } else {
      product = *out;
    }
    return product;
  };
  return {run, values, matmul.impl_info_str()};
}

}  // namespace linformer::bench

#endif
