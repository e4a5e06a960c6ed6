// Paged attention: keys and values lie in pages of a cache, a table says which. Scores on matrix cores, an
// online softmax over the pages on vector cores, accumulators that each page updates; in float and in
// bfloat16.
#include <algorithm>
#include <cmath>
#include <limits>

#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/runtime/half.hpp"

using namespace troupe::platform;
using troupe::runtime::BFloat16;
using troupe::runtime::DType;
using troupe::runtime::KernelArgs;

namespace {

// scores = query * keys^T * scale; what lies behind the end of the sequence counts for nothing.
template <class T>
void score(KernelArgs& k) {
  const auto query = k.tensor<const T>(0), keys = k.tensor<const T>(1);
  const auto scores = k.tensor<float>(2);
  const auto scale = k.scalar<float>(0);
  const std::size_t valid = k.scalar<std::uint32_t>(1);
  for (std::size_t i = 0; i < scores.extent(0); ++i) {
    for (std::size_t j = 0; j < scores.extent(1); ++j) {
      float sum = 0;
      for (std::size_t n = 0; n < query.extent(1); ++n) {
        sum += static_cast<float>(query(i, n)) * static_cast<float>(keys(j, n));
      }
      scores(i, j) = j < valid ? sum * scale : -std::numeric_limits<float>::infinity();
    }
  }
}

// The page's own softmax: weights = exp(scores - best), best and total per row.
template <class T>
void weigh(KernelArgs& k) {
  const auto scores = k.tensor<const float>(0);
  const auto weights = k.tensor<T>(1);
  const auto best = k.tensor<float>(2), total = k.tensor<float>(3);
  for (std::size_t i = 0; i < scores.extent(0); ++i) {
    float most = scores(i, 0);
    for (std::size_t j = 1; j < scores.extent(1); ++j) most = std::max(most, scores(i, j));
    float sum = 0;
    for (std::size_t j = 0; j < scores.extent(1); ++j) {
      weights(i, j) = static_cast<T>(std::exp(scores(i, j) - most));
      sum += static_cast<float>(weights(i, j));
    }
    best(i) = most;
    total(i) = sum;
  }
}

template <class T>
void mix(KernelArgs& k) {
  const auto weights = k.tensor<const T>(0), values = k.tensor<const T>(1);
  const auto mixed = k.tensor<float>(2);
  for (std::size_t i = 0; i < mixed.extent(0); ++i) {
    for (std::size_t n = 0; n < mixed.extent(1); ++n) {
      float sum = 0;
      for (std::size_t j = 0; j < weights.extent(1); ++j) {
        sum += static_cast<float>(weights(i, j)) * static_cast<float>(values(j, n));
      }
      mixed(i, n) = sum;
    }
  }
}

}  // namespace

TROUPE_KERNEL(score_f32)(KernelArgs& k) { score<float>(k); }
TROUPE_KERNEL(score_bf16)(KernelArgs& k) { score<BFloat16>(k); }
TROUPE_KERNEL(weigh_f32)(KernelArgs& k) { weigh<float>(k); }
TROUPE_KERNEL(weigh_bf16)(KernelArgs& k) { weigh<BFloat16>(k); }
TROUPE_KERNEL(mix_f32)(KernelArgs& k) { mix<float>(k); }
TROUPE_KERNEL(mix_bf16)(KernelArgs& k) { mix<BFloat16>(k); }

// Takes a page into the accumulators: both sides are scaled to the larger best.
TROUPE_KERNEL(take_page)(KernelArgs& k) {
  const auto page_best = k.tensor<const float>(0), page_total = k.tensor<const float>(1);
  const auto page = k.tensor<const float>(2);
  const auto best = k.tensor<float>(3), total = k.tensor<float>(4), sum = k.tensor<float>(5);
  for (std::size_t i = 0; i < sum.extent(0); ++i) {
    const float most = std::max(best(i), page_best(i));
    const float before = std::exp(best(i) - most), now = std::exp(page_best(i) - most);
    best(i) = most;
    total(i) = total(i) * before + page_total(i) * now;
    for (std::size_t n = 0; n < sum.extent(1); ++n) sum(i, n) = sum(i, n) * before + page(i, n) * now;
  }
}
TROUPE_KERNEL(divide_rows)(KernelArgs& k) {
  const auto sum = k.tensor<const float>(0), total = k.tensor<const float>(1);
  const auto result = k.tensor<float>(2);
  for (std::size_t i = 0; i < result.extent(0); ++i) {
    for (std::size_t n = 0; n < result.extent(1); ++n) result(i, n) = sum(i, n) / total(i);
  }
}

TROUPE_CHIP_PROGRAM(paged_attention)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [query, keys, values, table, lengths, result] = args.tensors<6>();
  const std::uint64_t tile = args.scalar<std::uint32_t>(0);
  const std::uint64_t heads = query.extent(1), depth = query.extent(2), page_size = keys.extent(1);
  const auto scale = scalar(1 / std::sqrt(static_cast<float>(depth)));
  const bool wide = query.dtype() == DType::f32;
  for (std::uint64_t batch = 0; batch < query.extent(0); ++batch) {
    const auto length = static_cast<std::uint64_t>(chip.get<std::int32_t>(lengths, batch));
    for (std::uint64_t head = 0; head < heads; head += tile) {
      auto of_tile = chip.scope();
      const auto rows = query.view({batch, head, 0}, {1, tile, depth}).reshape({tile, depth});
      const auto best = chip.alloc(out_new<float>({tile}).fill(-std::numeric_limits<float>::infinity()));
      const auto total = chip.alloc(out_new<float>({tile}).fill(0.0f));
      const auto sum = chip.alloc(out_new<float>({tile, depth}).fill(0.0f));
      for (std::uint64_t at = 0; at < length; at += page_size) {
        auto of_page = chip.scope();
        const auto page = static_cast<std::uint64_t>(chip.get<std::int32_t>(table, batch, at / page_size));
        const auto part = [&](const Tensor& cache) {
          return cache.view({page, 0, 0}, {1, page_size, depth}).reshape({page_size, depth});
        };
        const auto valid = scalar(static_cast<std::uint32_t>(std::min(page_size, length - at)));
        const auto scores = chip.aic(wide ? "score_f32" : "score_bf16", in(rows), in(part(keys)),
                                     out_new<float>({tile, page_size}), scale, valid);
        const auto weights = wide ? out_new<float>({tile, page_size}) : out_new<BFloat16>({tile, page_size});
        const auto [weight, page_best, page_total] =
            chip.aiv(wide ? "weigh_f32" : "weigh_bf16", in(scores), weights, out_new<float>({tile}),
                     out_new<float>({tile}))
                .outputs;
        const auto mixed = chip.aic(wide ? "mix_f32" : "mix_bf16", in(weight), in(part(values)),
                                    out_new<float>({tile, depth}));
        chip.aiv("take_page", in(page_best), in(page_total), in(mixed), inout(best), inout(total),
                 inout(sum));
      }
      chip.aiv("divide_rows", in(sum), in(total),
               out(result.view({batch, head, 0}, {1, tile, depth}).reshape({tile, depth})));
    }
  }
}

namespace troupe::scenes {

namespace {

struct Sizes {
  std::size_t batch, heads, depth, page, pages;
  explicit Sizes(const SceneParams& params)
      : batch(number(params, "batch")),
        heads(number(params, "heads")),
        depth(number(params, "depth")),
        page(number(params, "page")),
        pages(number(params, "pages")) {}
  static std::size_t number(const SceneParams& params, const char* name) {
    return static_cast<std::size_t>(params[name]);
  }
};

template <class T>
void make_attention(SceneArgs& args, const SceneParams& params) {
  const Sizes n(params);
  std::uint32_t state = 7;
  const auto noise = [&state] {
    state = state * 1664525 + 1013904223;
    return static_cast<T>(static_cast<float>(state >> 16) / 32768 - 1);
  };
  const std::size_t cached = n.batch * n.pages;
  for (T& x : args.in<T>("query", {n.batch, n.heads, n.depth})) x = noise();
  for (T& x : args.in<T>("keys", {cached, n.page, n.depth})) x = noise();
  for (T& x : args.in<T>("values", {cached, n.page, n.depth})) x = noise();
  // Pages in no order: a stride that has no divisor in common with their number.
  std::int32_t next = 0;
  for (auto& page : args.in<std::int32_t>("table", {n.batch, n.pages})) {
    page = next;
    next = (next + 7) % static_cast<std::int32_t>(cached);
  }
  // From a single position to all pages, the last one mostly not full.
  const auto lengths = args.in<std::int32_t>("lengths", {n.batch});
  for (std::size_t i = 0; i < n.batch; ++i) {
    lengths[i] = static_cast<std::int32_t>(n.page * n.pages - i * (n.page * n.pages - 1) / n.batch);
  }
  args.out<float>("result", {n.batch, n.heads, n.depth});
  args.scalar("tile", static_cast<std::uint32_t>(params["tile"]));
}

// The plain softmax over the whole sequence, in double.
template <class T>
void golden_attention(SceneArgs& args, const SceneParams& params) {
  const Sizes n(params);
  const auto query = args.tensor<T>("query"), keys = args.tensor<T>("keys"),
             values = args.tensor<T>("values");
  const auto table = args.tensor<std::int32_t>("table"), lengths = args.tensor<std::int32_t>("lengths");
  const auto result = args.expected<float>("result");
  const auto number = [](T x) { return static_cast<double>(static_cast<float>(x)); };
  for (std::size_t b = 0; b < n.batch; ++b) {
    const auto length = static_cast<std::size_t>(lengths[b]);
    const auto row_of = [&](std::size_t at) {
      return (static_cast<std::size_t>(table[b * n.pages + at / n.page]) * n.page + at % n.page) * n.depth;
    };
    for (std::size_t h = 0; h < n.heads; ++h) {
      const std::size_t row = (b * n.heads + h) * n.depth;
      std::vector<double> weights(length);
      double total = 0;
      for (std::size_t at = 0; at < length; ++at) {
        double score = 0;
        for (std::size_t d = 0; d < n.depth; ++d)
          score += number(query[row + d]) * number(keys[row_of(at) + d]);
        weights[at] = std::exp(score / std::sqrt(static_cast<double>(n.depth)));
        total += weights[at];
      }
      for (std::size_t d = 0; d < n.depth; ++d) {
        double sum = 0;
        for (std::size_t at = 0; at < length; ++at) sum += weights[at] * number(values[row_of(at) + d]);
        result[row + d] = static_cast<float>(sum / total);
      }
    }
  }
}

}  // namespace

std::vector<Scene> attention_scenes() {
  Scene wide;
  wide.name = "paged_attention_f32";
  wide.callable = "paged_attention";
  wide.cases = {
      {.name = "small",
       .params = {{"batch", 2}, {"heads", 4}, {"depth", 16}, {"page", 8}, {"pages", 3}, {"tile", 4}}},
      {.name = "tiles",
       .params = {{"batch", 5}, {"heads", 16}, {"depth", 32}, {"page", 16}, {"pages", 9}, {"tile", 4}}}};
  wide.make = make_attention<float>;
  wide.golden = golden_attention<float>;
  wide.relative = wide.absolute = 1e-5;
  Scene narrow = wide;
  narrow.name = "paged_attention_bf16";
  narrow.make = make_attention<BFloat16>;
  narrow.golden = golden_attention<BFloat16>;
  // The weights of a page have eight bits; everything else is computed in float.
  narrow.relative = narrow.absolute = 1.0 / 256;
  return {wide, narrow};
}

}  // namespace troupe::scenes
