// Tensors and their buffers: what the public headers leave to us.
#include "troupe/actors/tensor.hpp"
#include "data/buffer.hpp"
#include "data/buffer_use.hpp"
#include "troupe/actors/callable.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

detail::LiveView::LiveView(std::shared_ptr<BufferHold> hold, bool writes) noexcept
    : hold_(std::move(hold)), writes_(writes) {
  if (hold_ && hold_->buffer != nullptr) hold_->buffer->look(writes_);
}

detail::LiveView::~LiveView() {
  if (hold_ && hold_->buffer != nullptr) hold_->buffer->look_away(writes_);
}

Tensor detail::ArgReader::tensor_of(const Operand& operand) {
  if (operand.buffer == nullptr) return Tensor(operand.tensor);
  return {operand.tensor, operand.buffer->shared_from_this()};
}

void* Tensor::open_host(runtime::DType wanted, detail::HostUse use) const {
  auto* address = view_.host_address();
  if (address == nullptr || view_.dtype() != wanted || !view_.is_contiguous()) {
    check_host(wanted);
    return address;
  }
  auto* buffer = hold_ ? hold_->buffer : nullptr;
  if (buffer == nullptr) return address;
  const bool all = view_.bytes() == buffer->bytes();
  const auto box = all ? whole_box(*buffer) : runtime::make_box(view_);
  const bool changes = use != detail::HostUse::look;
  // Who changes a part waits for tasks that write others: all copies go out of date with it, and what such a
  // task has written would be in none. Another may come meanwhile.
  do {
    // Also before it is overwritten: what is on its way would come later.
    try {
      buffer->bring_home(changes && !all);
    } catch (...) {
      if (use != detail::HostUse::overwrite || !all || !buffer->is_lost()) throw;
      buffer->let_stores_end();
      buffer->forgive();
    }
    if (use == detail::HostUse::overwrite) buffer->rewrite(box);
    if (const auto loss = buffer->loss_in(box)) throw Error(*loss);
    if (changes && all) buffer->changed_at_home();
  } while (changes && !all && !buffer->changed_if_at_home());
  return address;
}

void Tensor::check_host(runtime::DType wanted) const {
  if (!valid()) throw Error(Errc::bad_argument, "a tensor that describes nothing has no elements");
  if (dtype() != wanted) {
    throw Error(runtime::Errc::dtype_mismatch,
                "host<" + std::string(runtime::name_of(wanted)) + "> of " + to_string(view_),
                "look at it as what it is: " + std::string(runtime::name_of(dtype())));
  }
  if (elements() == 0) return;
  if (view_.host_address() == nullptr) {
    throw Error(Errc::bad_argument, to_string(view_) + " is not in host memory",
                "look at a copy, in a program: (co_await node.fetch(x)).host<const T>(), or node.read_all");
  }
  throw Error(runtime::Errc::not_contiguous, to_string(view_) + " has gaps between its elements",
              "look at the whole tensor, or read it through a program: node.read_all");
}

}  // namespace troupe::actors
