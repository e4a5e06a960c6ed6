#include "runtime/graph/program.hpp"

#include <algorithm>

namespace troupe::test {

using runtime::Tag;

std::vector<std::uint32_t> View::bytes() const {
  std::vector<std::uint32_t> all{static_cast<std::uint32_t>(offset)};
  for (std::size_t d = 0; d < extents.size(); ++d) {
    std::vector<std::uint32_t> next;
    for (const std::uint32_t start : all) {
      for (std::uint32_t i = 0; i < extents[d]; ++i)
        next.push_back(start + i * static_cast<std::uint32_t>(strides[d]));
    }
    all.swap(next);
  }
  std::vector<std::uint32_t> each;
  for (const std::uint32_t start : all) {
    for (std::uint32_t i = 0; i < element; ++i) each.push_back(start + i);
  }
  return each;
}

namespace {

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Program make() {
    Program& p = program_;
    p.exact = chance(random_, 40);
    const bool memory = chance(random_, 60);
    p.never_stuck = memory && chance(random_, 50);
    p.executors = 1 + static_cast<std::uint32_t>(below(random_, 3));
    p.window = chance(random_, 30) ? 4 + static_cast<std::uint32_t>(below(random_, 12)) : 0;
    failures_ = chance(random_, 40) ? 8 : 0;
    cancels_ = chance(random_, 20) ? 4 : 0;
    events_ = chance(random_, 25) ? 10 : 0;
    groups_ = chance(random_, 40) ? 15 : 0;
    make_externals();
    p.buffers = static_cast<std::uint32_t>(p.externals.size());
    const std::uint64_t length = 5 + below(random_, chance(random_, 20) ? 150 : 40);
    for (std::uint64_t i = 0; i < length; ++i) step(memory);
    if (memory) p.arena_bytes = p.never_stuck ? peak() : p.alignment * (1 + below(random_, 6));
    return p;
  }

 private:
  struct Live {
    std::uint32_t buffer;
    std::uint64_t bytes;
    std::uint32_t depth;
    bool written = false;
  };

  void make_externals() {
    const std::uint64_t count = 1 + below(random_, 4);
    for (std::uint64_t b = 0; b < count; ++b) {
      if (program_.exact || !chance(random_, 30) || b == 0) {
        program_.externals.push_back({b * 384, 24 + 8 * below(random_, 40)});
      } else {  // reaches into the one before
        const auto& last = program_.externals.back();
        program_.externals.push_back(
            {last.address + 8 * below(random_, last.bytes / 8), 24 + 8 * below(random_, 20)});
      }
    }
  }

  void step(bool memory) {
    if (memory && chance(random_, 25)) return step_memory();
    if (chance(random_, cancels_) && program_.tasks > 0) {
      Op op;
      op.kind = Op::Kind::cancel;
      op.id = static_cast<std::uint32_t>(program_.tasks - 1 - below(random_, std::min(program_.tasks, 6U)));
      program_.ops.push_back(op);
      return;
    }
    make_task();
  }

  void step_memory() {
    Op op;
    const std::uint64_t what = below(random_, 10);
    if (what < 5) {
      op.kind = Op::Kind::alloc;
      op.id = program_.buffers++;
      op.bytes = program_.never_stuck ? program_.alignment : 8 * (1 + below(random_, 30));
      live_.push_back({op.id, op.bytes, depth_});
    } else if (what < 7) {
      if (live_.empty()) return;
      const std::size_t at = below(random_, live_.size());
      op.kind = Op::Kind::release;
      op.id = live_[at].buffer;
      live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (what < 8 && depth_ < 5 && !program_.never_stuck) {
      op.kind = Op::Kind::begin_scope;
      ++depth_;
    } else if (depth_ > 0) {
      op.kind = Op::Kind::end_scope;
      std::erase_if(live_, [this](const Live& l) { return l.depth == depth_; });
      --depth_;
    } else {
      return;
    }
    program_.ops.push_back(op);
  }

  void make_task() {
    Op op;
    op.id = program_.tasks++;
    op.node_only = chance(random_, 6);
    op.fails = !op.node_only && chance(random_, failures_);
    op.events = chance(random_, events_) ? 1 : 0;
    op.ready_kind = static_cast<std::uint32_t>(below(random_, 2));
    op.members =
        !op.node_only && chance(random_, groups_) ? 1 + static_cast<std::uint32_t>(below(random_, 3)) : 1;
    op.priority = chance(random_, 10) ? static_cast<std::int32_t>(below(random_, 3)) - 1 : 0;
    if (chance(random_, 10)) op.executor = static_cast<std::uint32_t>(below(random_, program_.executors));
    const std::uint64_t uses = below(random_, chance(random_, 10) ? 12 : 5);
    for (std::uint64_t u = 0; u < uses; ++u) op.uses.push_back(make_use());
    while (chance(random_, 12) && op.id > 0) {
      op.after.push_back(static_cast<std::uint32_t>(op.id - 1 - below(random_, std::min(op.id, 20U))));
    }
    program_.ops.push_back(std::move(op));
  }

  Use make_use() {
    Use use;
    const std::uint64_t roll = below(random_, 100);
    use.tag = roll < 45   ? Tag::in
              : roll < 65 ? Tag::out
              : roll < 88 ? Tag::inout
              : roll < 96 ? Tag::out_existing
                          : Tag::no_dep;
    std::uint64_t bytes = 0;
    if (!live_.empty() && chance(random_, 55)) {
      Live& l = live_[below(random_, live_.size())];
      use.view.buffer = l.buffer;
      bytes = l.bytes;
      if (!l.written) use.tag = Tag::out;
      if (!l.written || chance(random_, 50)) {
        l.written = true;
        whole(use.view, bytes);
        return use;
      }
    } else {
      use.view.buffer = static_cast<std::uint32_t>(below(random_, program_.externals.size()));
      bytes = program_.externals[use.view.buffer].bytes;
    }
    if (program_.exact) {
      nested_view(use.view, bytes);
    } else {
      any_view(use.view, bytes);
    }
    return use;
  }

  void whole(View& view, std::uint64_t bytes) {
    view.extents = {static_cast<std::uint32_t>(bytes)};
    view.strides = {1};
  }

  // The whole, an eighth of it, or two columns of 8-byte rows: equal, nested or (for different kinds)
  // crossing only where a column pair meets an eighth — so a buffer uses one of the two kinds.
  void nested_view(View& view, std::uint64_t bytes) {
    const std::uint64_t rows = bytes / 8;
    if (chance(random_, 25)) return whole(view, bytes);
    if (view.buffer % 2 == 0) {
      view.offset = below(random_, rows) * 8;
      view.extents = {8};
      view.strides = {1};
    } else {
      view.offset = below(random_, 4) * 2;
      view.extents = {static_cast<std::uint32_t>(rows), 2};
      view.strides = {8, 1};
    }
  }

  void any_view(View& view, std::uint64_t bytes) {
    if (chance(random_, 15)) return whole(view, bytes);
    view.element = 1U << below(random_, 3);
    const std::uint64_t elements = bytes / view.element;
    if (chance(random_, 3)) {  // nothing at all
      view.extents = {0};
      view.strides = {view.element};
      return;
    }
    if (chance(random_, 10)) {  // anything that stays inside: steps, overlaps, stride 0
      std::uint64_t room = elements - 1;
      view.offset = below(random_, elements) * view.element;
      room -= view.offset / view.element;
      for (std::uint64_t d = 0; d < 3; ++d) {
        const std::uint64_t stride = below(random_, 9);
        const std::uint64_t most = stride == 0 ? 3 : std::min<std::uint64_t>(room / stride + 1, 6);
        const std::uint64_t extent = 1 + below(random_, most);
        room -= stride * (extent - 1);
        view.extents.push_back(static_cast<std::uint32_t>(extent));
        view.strides.push_back(stride * view.element);
      }
      return;
    }
    // A box with steps of a row-major shape of 1 to 3 dimensions, transposed now and then.
    static constexpr std::uint64_t widths[] = {2, 3, 4, 6, 8, 12};
    std::uint64_t rest = elements, stride = 1;
    const std::uint64_t dims = 1 + below(random_, 3);
    for (std::uint64_t d = 0; d < dims && rest > 0; ++d) {
      std::uint64_t width = d + 1 == dims ? rest : std::min(rest, widths[below(random_, 6)]);
      const std::uint64_t first = below(random_, width);
      const std::uint64_t step = chance(random_, 20) ? 2 : 1;
      const std::uint64_t count = 1 + below(random_, (width - first - 1) / step + 1);
      view.offset += first * stride * view.element;
      view.extents.insert(view.extents.begin(), static_cast<std::uint32_t>(count));
      view.strides.insert(view.strides.begin(), stride * step * view.element);
      stride *= width;
      rest /= width;
    }
    if (chance(random_, 20)) {
      std::reverse(view.extents.begin(), view.extents.end());
      std::reverse(view.strides.begin(), view.strides.end());
    }
  }

  // The memory that a run one task at a time needs: from an intermediate's first use to its last one or to
  // the end of its handle, whichever comes later. All blocks have one size then.
  std::uint64_t peak() const {
    std::vector<std::size_t> first(program_.buffers, program_.ops.size()), last(program_.buffers, 0);
    std::vector<bool> released(program_.buffers, false);
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      const Op& op = program_.ops[i];
      for (const Use& use : op.uses) {
        first[use.view.buffer] = std::min(first[use.view.buffer], i);
        last[use.view.buffer] = std::max(last[use.view.buffer], i);
      }
      if (op.kind != Op::Kind::release) continue;
      released[op.id] = true;
      last[op.id] = std::max(last[op.id], i);
    }
    std::uint64_t most = 1;
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      std::uint64_t alive = 0;
      for (auto b = static_cast<std::uint32_t>(program_.externals.size()); b < program_.buffers; ++b) {
        alive += first[b] <= i && (i <= last[b] || !released[b]) ? 1 : 0;
      }
      most = std::max(most, alive);
    }
    return most * program_.alignment;
  }

  Random random_;
  Program program_;
  std::vector<Live> live_;
  std::uint32_t depth_ = 0;
  unsigned failures_ = 0, cancels_ = 0, events_ = 0, groups_ = 0;
};

}  // namespace

Program make_program(std::uint64_t seed) { return Maker(seed).make(); }

std::string to_string(const Program& program) {
  std::string text;
  for (std::size_t b = 0; b < program.externals.size(); ++b) {
    text += "b" + std::to_string(b) + " at " + std::to_string(program.externals[b].address) + ", " +
            std::to_string(program.externals[b].bytes) + " bytes\n";
  }
  text +=
      "arena " + std::to_string(program.arena_bytes) + ", window " + std::to_string(program.window) + "\n";
  for (const Op& op : program.ops) {
    static constexpr const char* kinds[] = {"task t",      "alloc b",   "release b",
                                            "begin scope", "end scope", "cancel t"};
    text += kinds[static_cast<std::size_t>(op.kind)];
    if (op.kind != Op::Kind::begin_scope && op.kind != Op::Kind::end_scope) text += std::to_string(op.id);
    if (op.kind == Op::Kind::alloc) text += " " + std::to_string(op.bytes);
    for (const Use& use : op.uses) {
      text += " " + std::string(runtime::name_of(use.tag)) + "(b" + std::to_string(use.view.buffer) + "+" +
              std::to_string(use.view.offset);
      for (std::size_t d = 0; d < use.view.extents.size(); ++d) {
        text += " " + std::to_string(use.view.extents[d]) + "*" + std::to_string(use.view.strides[d]);
      }
      text += " x" + std::to_string(use.view.element) + ")";
    }
    for (const std::uint32_t after : op.after) text += " after t" + std::to_string(after);
    if (op.members > 1) text += " members " + std::to_string(op.members);
    if (op.events > 0) text += " event";
    if (op.fails) text += " fails";
    if (op.node_only) text += " node";
    text += "\n";
  }
  return text;
}

}  // namespace troupe::test
