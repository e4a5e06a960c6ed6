#include "troupe/runtime/error.hpp"

namespace troupe {

Error::Error(ErrorCode code, std::string message, std::string hint)
    : Error(Data{code, std::move(message), std::move(hint), {}, {}, nullptr}) {}

Error::Error(Data data) {
  data.line.clear();
  if (!data.path.empty()) data.line.append(data.path).append(": ");
  data.line.append(data.message);
  data.line.append(" [").append(data.code.name).append(" ");
  data.line.append(std::to_string(data.code.value)).append("]");
  data_ = std::make_shared<const Data>(std::move(data));
}

const Error& Error::root() const noexcept {
  const Error* link = this;
  while (link->cause() != nullptr) link = link->cause();
  return *link;
}

Error Error::caused_by(const Error& cause) const {
  Data copy = *data_;
  copy.cause = std::make_shared<const Error>(copy.cause ? copy.cause->caused_by(cause) : cause);
  return Error(std::move(copy));
}

Error Error::inside(std::string_view segment) const {
  Data copy = *data_;
  copy.path = copy.path.empty() ? std::string(segment) : std::string(segment) + "/" + copy.path;
  return Error(std::move(copy));
}

namespace {

/// One link of a chain. Many a message ends with the message of its cause, for those who see only the one;
/// where the cause follows, neither that nor the cause's hint is said twice.
void render_link(const Error& link, const char* indent, std::string& text) {
  const Error* cause = link.cause();
  const std::string end = cause != nullptr ? ": " + cause->message() : "";
  const std::string& message = link.message();
  std::string line = link.what();
  if (cause != nullptr && message.size() > end.size() && message.ends_with(end)) {
    line.erase(line.rfind(message) + message.size() - end.size(), end.size());
  }
  text.append(line);
  const bool again = cause != nullptr && cause->hint() == link.hint();
  if (!link.hint().empty() && !again) text.append("\n").append(indent).append("hint: ").append(link.hint());
}

}  // namespace

std::string render(const Error& error) {
  std::string text;
  render_link(error, "  ", text);
  for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause()) {
    text.append("\n  caused by: ");
    render_link(*cause, "    ", text);
  }
  return text;
}

}  // namespace troupe
