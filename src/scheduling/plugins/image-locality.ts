/**
 * Prefers nodes that already have the pod's images, big ones more than small ones. An image counts
 * with the share of nodes that have it, so that the one node with it does not draw every pod.
 *
 * Sums from 23 MiB (nothing gained) to 1,000 MiB per container (best) give 0 to 100.
 */
import type { Plugin } from '../plugin.ts';

const mebibyte = 1024 * 1024;
const leastBytes = 23 * mebibyte;
const mostBytesPerContainer = 1000 * mebibyte;

export const imageLocality: Plugin = {
  name: 'ImageLocality',
  score: ({ images, containerCount }, cluster) => {
    // An image that no node has gives every node the same.
    const known = images.filter((image) => cluster.nodesWithImage(image) > 0);
    if (known.length === 0) return undefined;
    const shares = known.map((image) => cluster.nodesWithImage(image));
    const nodeCount = cluster.nodes.length;
    const most = mostBytesPerContainer * containerCount;
    return {
      score: (node) => {
        if (node.images.size === 0) return 0;
        let sum = 0;
        for (let index = 0; index < known.length; index++) {
          const bytes = node.images.get(known[index] ?? '');
          if (bytes === undefined) continue;
          sum += Math.floor((bytes * (shares[index] ?? 0)) / nodeCount);
        }
        const counted = Math.min(Math.max(sum, leastBytes), most);
        return Math.floor((100 * (counted - leastBytes)) / (most - leastBytes));
      },
    };
  },
  helps: () => false,
};
