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

std::string render(const Error& error) {
  std::string text = error.what();
  if (!error.hint().empty()) text.append("\n  hint: ").append(error.hint());
  for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause()) {
    text.append("\n  caused by: ").append(cause->what());
    if (!cause->hint().empty()) text.append("\n    hint: ").append(cause->hint());
  }
  return text;
}

}  // namespace troupe
