// Random programs and what they do to memory when their submits are run one after the other.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "troupe/testing.hpp"

namespace troupe::test {

constexpr int buffers = 5;
constexpr std::uint32_t elements = 2;  ///< of each: tasks see one of them, or both
using Values = std::array<float, elements>;

struct Line {
  enum class What {
    add,
    set,
    group,
    host,
    scratch,
    from_device,
    to_device,
    part,
    fill,
    copy,
    copy_device,
    prefetch,
    pin,
    evict
  } what = What::add;
  int a = 0, b = 0, c = 0;
  float value = 0;
  int chip = -1;
  unsigned retries = 0;
  int resident = 0;                                                     ///< the chip whose tensor is meant
  std::chrono::nanoseconds deadline = std::chrono::nanoseconds::max();  ///< of a host function
  bool slot = false;  ///< its value is the program's parameter

  int home() const { return buffers + resident; }
};

struct Sample {
  std::vector<Line> lines;
  int chips = 1;
  bool coroutine = false;
  float parameter = 0;
};

/// `late`: some host functions have deadlines that may pass before they are done.
inline Sample random_plan(std::mt19937_64& random, bool late) {
  Sample plan;
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint64_t>(n)); };
  plan.chips = 1 + below(4);
  plan.coroutine = below(2) == 0;
  plan.parameter = static_cast<float>(below(100));
  const int count = 3 + below(25);
  for (int i = 0; i < count; ++i) {
    Line line;
    line.what = static_cast<Line::What>(below(14));
    if (line.what == Line::What::group && plan.chips < 2) line.what = Line::What::add;
    line.a = below(buffers);
    line.b = below(buffers);
    line.c = below(buffers);
    line.value = static_cast<float>(below(100));
    line.slot = below(3) == 0;
    if (line.slot) line.value = plan.parameter;
    line.chip = below(3) == 0 ? below(plan.chips) : -1;
    line.retries = below(3) == 0 ? 2U : 0U;
    line.resident = below(plan.chips);
    if (below(3) == 0) {
      line.deadline = late && below(8) == 0 ? std::chrono::nanoseconds(1) : std::chrono::hours(1);
    }
    plan.lines.push_back(line);
  }
  return plan;
}

/// What the host's tensors hold, and behind them those that live on the chips, one on each.
inline std::vector<Values> nothing_yet(int chips) {
  return std::vector<Values>(static_cast<std::size_t>(buffers + chips), Values{});
}

/// Runs one line. False: numbers are not small enough to be exact any more.
inline bool apply(const Line& line, std::vector<Values>& x) {
  auto at = [&](int i) -> Values& { return x[static_cast<std::size_t>(i)]; };
  const auto all = [](float value) {
    Values values;
    values.fill(value);
    return values;
  };
  const auto sum = [](const Values& a, const Values& b) {
    Values values{};
    for (std::size_t i = 0; i < elements; ++i) values[i] = a[i] + b[i];
    return values;
  };
  switch (line.what) {
    case Line::What::add:
      at(line.c) = sum(at(line.a), at(line.b));
      break;
    case Line::What::set:
    case Line::What::fill:
      at(line.c) = all(line.value);
      break;
    case Line::What::group:
      if (line.a != line.c) at(line.a) = all(line.value);
      at(line.c) = all(line.value);
      break;
    case Line::What::host:
      at(line.c)[0] += line.value;
      break;
    case Line::What::scratch:
      at(line.c) = sum(sum(at(line.a), at(line.b)), all(line.value));
      break;
    case Line::What::from_device:
      at(line.c) = sum(at(line.a), at(line.home()));
      break;
    case Line::What::to_device:
      at(line.home()) = sum(at(line.a), at(line.b));
      break;
    case Line::What::part:
      at(line.c)[static_cast<std::size_t>(line.b) % elements] = line.value;
      break;
    case Line::What::copy:
      at(line.c) = at(line.a);
      break;
    case Line::What::copy_device:
      (line.b % 2 == 0 ? at(line.c) : at(line.home())) = line.b % 2 == 0 ? at(line.home()) : at(line.c);
      break;
    case Line::What::prefetch:
    case Line::What::pin:
    case Line::What::evict:
      break;
  }
  for (const auto& values : x) {
    if (std::any_of(values.begin(), values.end(), [](float value) { return value > 100000; })) return false;
  }
  return true;
}

/// What they hold at the end; nothing: that is not known.
inline std::vector<Values> expected(const Sample& plan) {
  auto x = nothing_yet(plan.chips);
  for (const auto& line : plan.lines) {
    if (!apply(line, x)) return {};
  }
  return x;
}

inline void submit(Orchestrator& n, const Line& line, const std::vector<Tensor>& x, Slot<float> parameter) {
  const auto value = line.slot ? scalar(parameter) : scalar(Slot<float>(line.value));
  auto at = [&](int i) -> const Tensor& { return x[static_cast<std::size_t>(i)]; };
  const auto submit = [&](int chip, auto&&... what) {
    if (chip < 0) {
      n.submit(std::forward<decltype(what)>(what)...);
    } else {
      n.submit(std::forward<decltype(what)>(what)..., on_chip(chip));
    }
  };
  switch (line.what) {
    case Line::What::add: {
      // An argument that is read and written is one inout, or the same as in and out: both are fine here.
      submit(line.chip, "add", in(at(line.a)), in(at(line.b)), out_existing(at(line.c)),
             retry(line.a == line.c || line.b == line.c ? 0U : line.retries));
      break;
    }
    case Line::What::set:
      submit(line.chip, "set", out_existing(at(line.c)), value, retry(line.retries));
      break;
    case Line::What::group: {
      std::vector<Args> members;
      members.push_back(args(out_existing(at(line.c)), value));
      if (line.a != line.c) members.push_back(args(out_existing(at(line.a)), value));
      n.submit_group("set", members);
      break;
    }
    case Line::What::host:
      n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += args.scalar<float>(0); },
                   inout(at(line.c)), value, deadline(line.deadline));
      break;
    case Line::What::scratch: {
      auto scope = n.scope();
      auto sum = n.alloc<float>({elements});
      auto more = n.alloc<float>({elements});
      n.submit("add", in(at(line.a)), in(at(line.b)), out(sum));
      n.submit("set", out(more), value);
      submit(line.chip, "add", in(sum), in(more), out_existing(at(line.c)));
      break;
    }
    // A tensor on a chip decides where its task runs, said or not, whatever lies where the task's producers
    // have been sent.
    case Line::What::from_device:
      submit(line.chip < 0 ? -1 : line.resident, "add", in(at(line.a)), in(at(line.home())),
             out_existing(at(line.c)));
      break;
    case Line::What::to_device:
      submit(line.chip < 0 ? -1 : line.resident, "add", in(at(line.a)), in(at(line.b)),
             out_existing(at(line.home())));
      break;
    case Line::What::part: {
      const auto begin = static_cast<std::uint64_t>(line.b) % elements;
      submit(line.chip, "set", out_existing(at(line.c).rows(begin, begin + 1)), value, retry(line.retries));
      break;
    }
    case Line::What::fill:
      n.fill(at(line.c), line.value);
      break;
    case Line::What::copy:
      if (line.a != line.c) n.copy(at(line.c), at(line.a));
      break;
    case Line::What::copy_device:
      line.b % 2 == 0 ? n.copy(at(line.c), at(line.home())) : n.copy(at(line.home()), at(line.c));
      break;
    case Line::What::prefetch:
      n.prefetch(at(line.a), on_chip(std::max(line.chip, 0)));
      break;
    case Line::What::pin:
      n.pin(at(line.a), on_chip(std::max(line.chip, 0)));
      break;
    case Line::What::evict:
      n.evict(at(line.a));
      break;
  }
}

inline void add_kernels(testing::Simulation& sim) {
  sim.kernel("add", [](auto& call) {
    const auto to = call.template tensor<float>(2);
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = call.template tensor<float>(0)[i] + call.template tensor<float>(1)[i];
  });
  sim.kernel("set", [](auto& call) {
    for (auto& element : call.template tensor<float>(0)) element = call.template scalar<float>(0);
  });
}

}  // namespace troupe::test
