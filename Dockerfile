# The commands as an unprivileged user, on slim Python.
#
#   docker build -t picocodec .
#   docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" picocodec encode photo.jpg
FROM python:3.12-slim AS build
COPY . /source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir /wheels/*.whl \
    && rm -r /wheels \
    && useradd --no-create-home --uid 10001 pico \
    && mkdir /data \
    && chown pico /data
USER pico
WORKDIR /data
ENTRYPOINT ["python", "-m", "picocodec"]
CMD ["--help"]
