"""The settings of the published test (figure 6): mesh 3/3/4, k=4, multiplier 1.5, gate 0.75."""
ENV = {'OPTIMUM_MESH_TARGET': '3', 'OPTIMUM_MESH_MIN': '3', 'OPTIMUM_MESH_MAX': '4', 'OPTIMUM_SHARD_FACTOR': '4', 'OPTIMUM_SHARD_MULT': '1.5',
       'OPTIMUM_THRESHOLD': '0.75', 'GOSSIPSUB_MESH_TARGET': '3', 'GOSSIPSUB_MESH_MIN': '3', 'GOSSIPSUB_MESH_MAX': '4', 'LOG_LEVEL': 'warn'}
