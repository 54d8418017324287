// docker run command lines as the documentation of twenty projects has them, and the one of the Fabric tool. Changed are
// ports of the host where two would meet, folders of the host (FOLDER, which the test makes) and the address of syslog
// (SYSLOG). --privileged is left away and limits are low, as a machine that runs tests may allow no more; other options
// were added where that shows more of them. The images are stand-ins by the same names.

export type DockerRunLine = {
  /** The service that it becomes. */
  service: string
  /** For a shell. */
  line: string
}

const lines = {
  nginx: `docker run --name nginx -d -p 8080:80 -v FOLDER/html:/usr/share/nginx/html:ro nginx:1.27`,
  postgres: `docker run -d --name postgres --shm-size=256m -e POSTGRES_PASSWORD='my$ecret "word"' \\
    -e PGDATA=/var/lib/postgresql/data/pgdata -v pgdata:/var/lib/postgresql/data -p 127.0.0.1:5432:5432 \\
    --restart unless-stopped postgres:16 -c shared_buffers=256MB -c 'max_connections=200'`,
  redis: `docker run -d --name redis --sysctl net.core.somaxconn=511 -v FOLDER/redis:/data redis:7 \\
    redis-server --save 60 1 --loglevel warning`,
  mysql: `docker run --name mysql -e MYSQL_ROOT_PASSWORD=my-secret-pw -v FOLDER/conf.d:/etc/mysql/conf.d -d mysql:8 \\
    --character-set-server=utf8mb4 --collation-server=utf8mb4_unicode_ci`,
  mongo: `docker run -d --name mongo -e MONGO_INITDB_ROOT_USERNAME=mongoadmin \\
    -e MONGO_INITDB_ROOT_PASSWORD=secret --mount source=mongodb,target=/data/db mongo`,
  rabbitmq: `docker run -d --hostname my-rabbit --name rabbitmq -p 15672:15672 -p 5672:5672 \\
    -e RABBITMQ_DEFAULT_VHOST=my_vhost rabbitmq:3-management`,
  grafana: `docker run -d -p 3000:3000 --name=grafana --user 472:0 --volume grafana-storage:/var/lib/grafana \\
    -e "GF_PLUGINS_PREINSTALL=grafana-clock-panel 1.0.1" -e "GF_SERVER_ROOT_URL=http://my.grafana.server/" \\
    grafana/grafana-enterprise`,
  prometheus: `docker run --name prometheus -d -p 9090:9090 -v FOLDER/prometheus.yml:/etc/prometheus/prometheus.yml \\
    -v prometheus-data:/prometheus --stop-timeout 30 prom/prometheus:v2.53.0 \\
    --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.retention.time=15d`,
  'node-exporter': `docker run -d --name node-exporter --net="host" --pid="host" -v "/proc:/host/proc:ro" \\
    -v /sys:/host/sys:ro quay.io/prometheus/node-exporter:latest --path.procfs=/host/proc \\
    --collector.filesystem.mount-points-exclude='^/(sys|proc|dev)($|/)'`,
  cadvisor: `sudo docker run \\
    --volume=/sys:/sys:ro \\
    --volume=FOLDER/docker/:/var/lib/docker:ro \\
    --publish=8081:8080 \\
    --detach=true \\
    --name=cadvisor \\
      --device=/dev/kmsg \\
    gcr.io/cadvisor/cadvisor:v0.49.1`,
  traefik: `docker run -d --name traefik -p 8082:8080 -p 81:80 -v FOLDER/traefik.yml:/etc/traefik/traefik.yml \\
    -l 'traefik.http.routers.api.rule=Host(\`traefik.example.com\`)' --label traefik.enable=true \\
    --log-opt max-size=10m --log-opt max-file=3 traefik:v3.1`,
  portainer: `docker run -d -p 8000:8000 -p 9443:9443 --name portainer --restart=always \\
    -v FOLDER/docker.sock:/var/run/docker.sock -v portainer_data:/data portainer/portainer-ce:2.21.0`,
  gitea: `docker run -d --name=gitea -p 10022:22 -p 10080:3000 -e USER_UID=1000 -e USER_GID=1000 \\
    -v FOLDER/gitea:/data -v /etc/localtime:/etc/localtime:ro \\
    --add-host git.example.com:10.0.0.7 --dns 10.0.0.53 --dns-search example.com gitea/gitea:1.22`,
  elasticsearch: `docker run -d --name elasticsearch -p 9200:9200 -p 9300:9300 -m 1GB \\
    -e "discovery.type=single-node" -e ES_JAVA_OPTS="-Xms512m -Xmx512m" --ulimit nofile=1024:4096 \\
    --ulimit memlock=32768:65536 docker.elastic.co/elasticsearch/elasticsearch:8.15.0`,
  registry: `docker run -d -e REGISTRY_HTTP_ADDR=0.0.0.0:5001 -p 5001:5001 --name registry --restart=on-failure:3 \\
    --env REGISTRY_STORAGE_DELETE_ENABLED=true registry:2`,
  jenkins: `docker run -d -v jenkins_home:/var/jenkins_home -p 8083:8080 -p 50000:50000 --name jenkins \\
    --restart=on-failure --env JAVA_OPTS='-Dhudson.footerURL=http://mycompany.com' \\
    --group-add 999 jenkins/jenkins:lts-jdk17`,
  minio: `docker run -dt -p 9000:9000 -p 9001:9001 -e "MINIO_ROOT_USER=ROOTUSER" --name minio \\
    -v FOLDER/minio:/data --health-cmd "curl -f http://localhost:9000/minio/health/live" --health-interval 1s \\
    --health-retries=5 quay.io/minio/minio:RELEASE.2024-08-03T04-33-23Z server /data --console-address ":9001"`,
  vault: `docker run --cap-add=IPC_LOCK -d --name=vault -p 8200 --security-opt no-new-privileges \\
    -e 'VAULT_LOCAL_CONFIG={"storage": {"file": {"path": "/vault/file"}}, "default_lease_ttl": "168h"}' \\
    --tmpfs /vault/file:rw,size=64m --read-only hashicorp/vault:1.17 server`,
  consul: `docker run -d --init --name consul -p 8500:8500 -p 8600:8600/udp -p 8301-8302:8301-8302 --cpus 0.5 \\
    --memory-reservation 64m --pids-limit=200 -w /consul -e CONSUL_BIND_INTERFACE=eth0 \\
    --entrypoint /bin/docker-entrypoint hashicorp/consul:1.19 agent -server -bootstrap-expect=1`,
  'home-assistant': `docker run -d \\
  --name homeassistant \\
  --restart=unless-stopped \\
  -e TZ=Europe/Berlin \\
  -v FOLDER/homeassistant:/config \\
  --mount type=bind,src=FOLDER/dbus,dst=/run/dbus,readonly \\
  --network=host \\
  ghcr.io/home-assistant/home-assistant:stable`,
  app: `docker run -d --publish 8888:8888 --env NODE_ENV=staging --log-driver=syslog \\
    --log-opt syslog-address=SYSLOG --restart=always app:1.2.3`
} as const

/** @param places what stands for FOLDER and SYSLOG */
export const dockerRunLines = (places: { folder: string; syslog: string }): DockerRunLine[] =>
  Object.entries(lines).map(([service, line]) => ({
    service: service === 'home-assistant' ? 'homeassistant' : service,
    line: line.replaceAll('FOLDER', places.folder).replaceAll('SYSLOG', places.syslog)
  }))
