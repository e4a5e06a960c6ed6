#pragma once

#include <caf/all.hpp>
#include <caf/detail/behavior_impl.hpp>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace troupe::actors {

/// A behaviour that knows some messages by their type alone. CAF's own way tries one clause after the other,
/// and ends with the making of an answer that nobody gets: about 500 instructions a message. What is not
/// known here goes that way, and so does what somebody waits for.
template <class... Hot>
class HotFirst final : public caf::detail::behavior_impl {
 public:
  HotFirst(caf::local_actor* self, caf::behavior all, Hot... hot)
      : self_(self), all_(std::move(all)), hot_(std::move(hot)...) {}

  using behavior_impl::invoke;
  caf::match_case::result invoke(caf::detail::invoke_result_visitor& answer,
                                 caf::type_erased_tuple& message) override {
    if (message.size() == 1 && !message.shared() && self_->current_mailbox_element()->mid.is_async()) {
      const auto* type = message.type(0).second;
      const auto handled = [&](auto&... handler) { return (is_for(handler, type, message) || ...); };
      if (std::apply(handled, hot_)) return caf::match_case::match;
    }
    return all_(answer, message);
  }

 private:
  template <class Handler, class Message>
  static Message message_of(void (Handler::*)(Message) const);

  template <class Handler>
  static bool is_for(Handler& handler, const std::type_info* type, caf::type_erased_tuple& message) {
    using Message = std::remove_reference_t<decltype(message_of(&Handler::operator()))>;
    if (type != &typeid(Message)) return false;
    handler(*static_cast<Message*>(message.get_mutable(0)));
    return true;
  }

  caf::local_actor* self_;
  caf::behavior all_;
  std::tuple<Hot...> hot_;
};

/// `all`, in which `hot` (handlers that it has, too) are tried first.
template <class Behavior, class... Hot>
Behavior hot_first(caf::local_actor* self, Behavior all, Hot... hot) {
  auto& clauses = all.unbox();
  clauses.assign(caf::detail::behavior_impl::pointer(
      caf::make_counted<HotFirst<Hot...>>(self, std::move(clauses), std::move(hot)...)));
  return all;
}

}  // namespace troupe::actors
