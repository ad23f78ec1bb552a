# Two images: `web` without the packages for audio and learning, `worker` with them.
FROM python:3.11-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN useradd --system --uid 10001 --home-dir /data audiotag \
    && mkdir -m 700 /data && chown audiotag /data
COPY requirements-web.txt ./
RUN pip install -r requirements-web.txt

FROM base AS web
COPY . .
USER audiotag
VOLUME /data
EXPOSE 8000
CMD ["python", "manage.py", "work", "web", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
COPY requirements.txt ./
RUN pip install -r requirements.txt
COPY . .
USER audiotag
VOLUME /data
CMD ["python", "manage.py", "work", "default"]
