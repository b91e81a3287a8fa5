(** rules.md, gap_cells: cells whose sequences are correct as long as every token other than the maximum is at least a gap
    below it. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool FinFun.
From Compact Require Import Spec.Model Real.Sums Real.Separation Real.Share Integer.Dyadic Integer.Matrix Integer.Tables Count.Counting Facts.
From Compact Require Import Rules.cubic_tokens Rules.count_cubic Rules.attention_ranges.
Import ListNotations.
Open Scope Z_scope.

Fixpoint pairs (row : list Z) : list (Z * Z) := match row with a :: b :: rest => (a, b) :: pairs rest | _ => [] end.

Section Program.
Variables (w : weights) (margin : fraction) (bits : Z) (spread lines value : matrix).

Let one := Z.shiftl 1 bits.
Let unit := Z.min (Z.min (exponent lines) (exponent spread)) (Z.min (exponent value) 0).

(** Whether no wrong token reaches the maximum at any of these attentions on it, in units of [2 ^ -bits]. *)
Definition behind_at (m q n : nat) (gap : Z) (ends : list Z) : bool :=
  let whole := snd margin in
  let others := Z.shiftl (entry value 0 (m - Z.to_nat gap)) (exponent value - unit) * whole in
  let fixed := Z.shiftl (entry spread 0 q) (exponent spread - unit) * whole + Z.shiftl (fst margin) (- unit) in
  let row := pairs (nth (row_of_lines (vocabulary w) (positions w) lines m n) (rows lines) []) in
  forallb (fun a => forallb (fun l : Z * Z =>
    Z.shiftl ((fst l * a + snd l * one) * whole) (exponent lines - unit) + (one - a) * others + fixed * one <? 0) row) ends.

(** How many tokens below the maximum are allowed, if the cell is counted. *)
Definition allowed_tokens (m q n : nat) (range : list Z) : option nat :=
  if Nat.eqb q m && Nat.eqb n 0 then if behind_at m q n 1 [one] then Some m else None else
  match range with
  | [gap; low; high] => if (0 <? gap) && behind_at m q n gap [low; high] then Some (S (m - Z.to_nat gap)) else None
  | _ => None
  end.
End Program.

Definition gap_cells (w : weights) (margin : fraction) (bits : Z) (ranges : list (list (list (list Z)))) (spread lines value : matrix)
  : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  let binomials := pascal (k - 1) in
  require (0 <=? bits) out_of_range
  (require (Nat.eqb (length ranges) v && forallb (fun m => let rows := nth m ranges [] in Nat.eqb (length rows) (S m)
       && forallb (fun q => Nat.eqb (length (nth q rows [])) (ns_of_pair k q m)) (seq 0 (S m))) (seq 0 v)) wrong_shape
  (Fine (Tally (flat_map (fun m => flat_map (fun q => map (fun n =>
    let count := match allowed_tokens w margin bits spread lines value m q n (range_at ranges m q n) with
      | Some tokens => nth n binomials 0 * Z.of_nat tokens ^ Z.of_nat n
      | None => 0
      end in
    Entry (Z.of_nat m) (Z.shiftl 1 (Z.of_nat q)) (Z.shiftl 1 (Z.of_nat n)) count 0)
    (seq 0 (ns_of_pair k q m))) (seq 0 (S m))) (seq 0 v))))).

(** ** A function of the attention that is below 0 at both ends is so between them *)

Lemma linear_below : forall s c x x0 x1 : R, (x0 <= x <= x1 -> s * x0 + c < 0 -> s * x1 + c < 0 -> s * x + c < 0)%R.
Proof. intros s c x x0 x1 [lo hi] A B. destruct (Rle_lt_dec 0 s); nra. Qed.

Lemma largest_position : forall (f : nat -> R) k, (0 < k)%nat -> exists p, (p < k)%nat /\ forall i, (i < k)%nat -> (f i <= f p)%R.
Proof.
  intros f. induction k as [|k IH]; intros some; [lia|]. destruct k as [|k].
  - exists 0%nat. split; [lia|]. intros i I. replace i with 0%nat by lia. lra.
  - destruct (IH ltac:(lia)) as (p & P & best). destruct (Rle_lt_dec (f (S k)) (f p)) as [le|gt].
    + exists p. split; [lia|]. intros i I. destruct (Nat.eq_dec i (S k)) as [->|]; [exact le | apply best; lia].
    + exists (S k). split; [lia|]. intros i I. destruct (Nat.eq_dec i (S k)) as [->|]; [lra|]. specialize (best i ltac:(lia)). lra.
Qed.

Lemma pairs_at : forall row l, (2 * l + 1 < length row)%nat -> In (nth (2 * l) row 0, nth (2 * l + 1) row 0) (pairs row).
Proof.
  intros row l. revert row. induction l as [|l IH]; intros [|a [|b row]] L; cbn [length] in L; try lia; cbn [pairs].
  - now left.
  - right. replace (2 * S l)%nat with (S (S (2 * l))) by lia. replace (S (S (2 * l)) + 1)%nat with (S (S (2 * l + 1))) by lia.
    cbn [nth]. apply IH. lia.
Qed.

Section Sound.
Variables (w : weights) (margin : fraction) (bits : Z) (ranges : list (list (list (list Z)))) (spread lines value : matrix).
Hypothesis good : well_formed w = true.
Hypothesis positive : 0 < snd margin.
Hypothesis natural : 0 <= bits.
Notation M := (model_of w).
Notation v := (d_vocab M).
Notation k := (n_ctx M).
Notation mu := (value_of margin).
Hypothesis path : holds M mu (Max_token_path spread lines).
Hypothesis values : holds M mu (Value_path_spread value).

Notation unit := (Z.min (Z.min (exponent lines) (exponent spread)) (Z.min (exponent value) 0)).

(** What [behind_at] tests, at an attention that is an integer times [2 ^ -bits]. *)
Definition reached_by (m q n : nat) (gap : Z) (l : nat) (a : R) : R :=
  let row := lines_row M lines m n in
  (number spread 0 q + (number lines row (2 * l) * a + number lines row (2 * l + 1))
   + (1 - a) * number value 0 (m - Z.to_nat gap) + mu)%R.

Lemma behind_at_sound : forall m q n gap ends a l, behind_at w margin bits spread lines value m q n gap ends = true -> In a ends ->
  (2 * l + 1 < length (nth (lines_row M lines m n) (rows lines) []))%nat -> (reached_by m q n gap l (IZR a * pow2 (- bits)) < 0)%R.
Proof.
  intros m q n gap ends a l T I L. unfold behind_at in T. cbv zeta in T. rewrite forallb_forall in T. specialize (T a I).
  rewrite forallb_forall in T. set (row := nth (lines_row M lines m n) (rows lines) []) in *.
  specialize (T _ (pairs_at row l L)). cbn [fst snd] in T. apply Z.ltb_lt, IZR_lt in T.
  set (s := nth (2 * l) row 0) in *. set (b := nth (2 * l + 1) row 0) in *.
  set (sp := entry spread 0 q) in *. set (vl := entry value 0 (m - Z.to_nat gap)) in *.
  set (u := unit) in *.
  assert (ul : 0 <= exponent lines - u) by (unfold u; lia). assert (us : 0 <= exponent spread - u) by (unfold u; lia).
  assert (uv : 0 <= exponent value - u) by (unfold u; lia). assert (u0 : 0 <= - u) by (unfold u; lia).
  rewrite !plus_IZR, !mult_IZR, !minus_IZR, !shiftl_real, !mult_IZR, !plus_IZR, !mult_IZR, !shiftl_real in T by lia.
  rewrite !Rmult_1_l in T.
  unfold reached_by, number, value_of. unfold entry. fold row s b sp vl. unfold entry in sp, vl. fold sp vl.
  set (one := pow2 bits) in *. assert (one_pos : (0 < one)%R) by apply pow2_pos.
  assert (inv : (pow2 (- bits) = / one)%R).
  { unfold one. rewrite <- (Rmult_1_l (pow2 (- bits))). apply (Rmult_eq_reg_r (pow2 bits)); [|apply Rgt_not_eq; apply pow2_pos].
    rewrite Rmult_assoc, (Rmult_comm (pow2 (- bits))), pow2_opp. rewrite Rinv_l by (apply Rgt_not_eq; apply pow2_pos). ring. }
  rewrite inv. apply IZR_lt in positive as den. set (d := IZR (snd margin)) in *. set (num := IZR (fst margin)) in *.
  pose proof (pow2_pos u) as pu.
  assert (up : forall e, (pow2 (e - u) * pow2 u = pow2 e)%R) by (intros; rewrite <- pow2_add; f_equal; lia).
  assert (up0 : (pow2 (- u) * pow2 u = 1)%R) by (rewrite <- pow2_add; replace (- u + u)%Z with 0%Z by lia; reflexivity).
  apply (Rmult_lt_reg_r (d * one)); [now apply Rmult_lt_0_compat|]. rewrite Rmult_0_l.
  apply Rle_lt_trans with ((((IZR s * IZR a + IZR b * one) * d * pow2 (exponent lines - u)
    + (one - IZR a) * (IZR vl * pow2 (exponent value - u) * d) + (IZR sp * pow2 (exponent spread - u) * d + num * pow2 (- u)) * one) * pow2 u)%R).
  - right. rewrite <- (up (exponent lines)), <- (up (exponent spread)), <- (up (exponent value)).
    transitivity ((IZR s * (IZR a * / one) * one * pow2 (exponent lines - u) + IZR b * one * pow2 (exponent lines - u)
      + (one - IZR a * / one * one) * IZR vl * pow2 (exponent value - u) + one * IZR sp * pow2 (exponent spread - u)) * d * pow2 u
      + num / d * d * one)%R; [ring|].
    replace (IZR a * / one * one)%R with (IZR a) by (field; lra). replace (num / d * d)%R with num by (field; lra).
    replace (IZR s * (IZR a * / one) * one)%R with (IZR s * IZR a)%R by (field; lra).
    replace (num * one)%R with (num * one * (pow2 (- u) * pow2 u))%R by (rewrite up0; ring). ring.
  - rewrite <- (Rmult_0_l (pow2 u)). apply Rmult_lt_compat_r; [exact pu | exact T].
Qed.

(** *** One sequence *)

Variables (t : list nat).
Hypothesis is_t : is_sequence M t.
Notation m := (label t).
Notation q := (query M t).
Notation n := (others M t).
Notation att := (attention M t (k - 1)).

Lemma k_some' : (0 < k)%nat.
Proof. destruct (sizes w good) as (_ & _ & _ & K). exact K. Qed.

Lemma attention_pos : forall p, (0 < att p)%R.
Proof.
  intros p. unfold attention. apply Rdiv_lt_0_compat; [apply exp_pos | apply sum_pos; [intros; apply exp_pos | lia]].
Qed.

Lemma attention_on_label_between : (0 <= attention_on_label M t <= 1)%R.
Proof.
  unfold attention_on_label. rewrite <- (attention_sums_to_1 M t k_some'). split.
  - apply sum_nonneg. intros p _. destruct (Nat.eqb (nth p t 0%nat) m); [apply Rlt_le; apply attention_pos | apply Rle_refl].
  - apply sum_le. intros p _. destruct (Nat.eqb (nth p t 0%nat) m); [apply Rle_refl | apply Rlt_le; apply attention_pos].
Qed.

Lemma gain_at_most : forall y gap, (y < v)%nat -> y <> m -> (n < k)%nat -> 0 < gap ->
  (forall p, (p < k)%nat -> nth p t 0%nat <> m -> (nth p t 0 <= m - Z.to_nat gap)%nat) ->
  exists l, (2 * l + 1 < length (nth (lines_row M lines m n) (rows lines) []))%nat /\
    (logit M t y + mu - logit M t m <= reached_by m q n gap l (attention_on_label M t))%R.
Proof.
  intros y gap Y other N gap_pos below. pose proof k_some' as K. set (a := attention_on_label M t) in *.
  assert (Hm : (m < v)%nat) by exact (m_token w good t is_t).
  destruct (largest_position (fun p => PVOU M p y - PVOU M p m)%R k K) as (p & P & best).
  destruct (path q m y n p a (tokens_up_to_m t _) Hm Y other N P attention_on_label_between) as (l & small & less).
  exists l. split; [exact small|]. cbn zeta in less. unfold reached_by.
  rewrite !(logit_by_paths M t K). fold (query M t).
  set (D := number value 0 (m - Z.to_nat gap)) in *.
  set (f := fun p => (att p * ((EVOU M (nth p t 0%nat) y - EVOU M (nth p t 0%nat) m) + (PVOU M p y - PVOU M p m)))%R).
  assert (E : (sum k (fun p => att p * (EVOU M (nth p t 0%nat) y + PVOU M p y)) - sum k (fun p => att p * (EVOU M (nth p t 0%nat) m + PVOU M p m)) = sum k f)%R).
  { rewrite <- sum_minus. apply sum_ext. intros i _. unfold f. ring. }
  assert (B : (sum k f <= PVOU M p y - PVOU M p m + (a * (EVOU M m y - EVOU M m m) + (1 - a) * D))%R).
  { set (R_ := (EVOU M m y - EVOU M m m)%R) in *. set (best_p := (PVOU M p y - PVOU M p m)%R) in *.
    apply Rle_trans with (sum k (fun i => att i * best_p + ((if Nat.eqb (nth i t 0%nat) m then att i else 0) * R_
      + (att i - (if Nat.eqb (nth i t 0%nat) m then att i else 0)) * D)))%R.
    - apply sum_le. intros i I. unfold f. pose proof (attention_pos i) as Ai. pose proof (best i I) as Bi. cbv beta in Bi. fold best_p in Bi.
      destruct (Nat.eqb (nth i t 0%nat) m) eqn:same.
      + apply Nat.eqb_eq in same. rewrite same. fold R_. nra.
      + apply Nat.eqb_neq in same.
        assert (V : (EVOU M (nth i t 0%nat) y - EVOU M (nth i t 0%nat) m <= D)%R).
        { unfold D. apply (values (m - Z.to_nat gap)%nat (nth i t 0%nat) y m); [exact (below i I same) | lia | exact Y | exact Hm]. }
        set (x := (EVOU M (nth i t 0%nat) y - EVOU M (nth i t 0%nat) m)%R) in *. nra.
    - right. rewrite sum_plus, sum_plus, !sum_scale_r, sum_minus. rewrite (attention_sums_to_1 M t K). fold (attention_on_label M t). fold a. ring. }
  lra.
Qed.
End Sound.

Theorem gap_cells_sound : forall w margin bits ranges spread lines value f,
  well_formed w = true -> 0 < snd margin -> holds (model_of w) (value_of margin) (Attention_ranges bits ranges) ->
  holds (model_of w) (value_of margin) (Max_token_path spread lines) -> holds (model_of w) (value_of margin) (Value_path_spread value) ->
  gap_cells w margin bits ranges spread lines value = Fine f -> holds (model_of w) (value_of margin) f.
Proof.
  intros w margin bits ranges spread lines value f good positive [fit attended] path values E. unfold gap_cells in E.
  set (v := vocabulary w) in *. set (k := positions w) in *.
  apply require_fine in E. destruct E as [natural E]. apply Z.leb_le in natural. apply require_fine in E. destruct E as [_ E].
  apply fine_eq in E. subst f. cbn [holds]. set (M := model_of w) in *.
  destruct (sizes w good) as (_ & _ & _ & K). fold M in K. change (n_ctx M) with k in K.
  apply Forall_forall. intros entry I. apply in_flat_map in I. destruct I as (m & Hm & I). apply in_flat_map in I.
  destruct I as (q & Q & I). apply in_map_iff in I. destruct I as (n & <- & N). apply in_seq in Hm, Q, N.
  split; [|apply at_least_0; reflexivity]. cbn [right].
  destruct (allowed_tokens _ _ _ _ _ _ m q n _) as [tokens|] eqn:T; [|apply at_least_0; lia].
  set (region := Entry _ _ _ _ _).
  set (range := range_at ranges m q n) in *.
  (* the gap, and the ends between which the attention is *)
  assert (range_and_gap : exists gap low high ends, 0 < gap /\ (behind_at w margin bits spread lines value m q n gap ends = true /\ In low ends /\ In high ends) /\
    (tokens <= m)%nat /\ (n <> 0%nat -> Z.of_nat tokens = Z.of_nat m - gap + 1 /\ gap <= Z.of_nat m) /\
    (q <> m -> (q <= m - Z.to_nat gap)%nat) /\
    forall t, is_sequence M t -> label t = m -> query M t = q -> others M t = n ->
      (forall p, (p < k)%nat -> nth p t 0%nat <> m -> (nth p t 0 <= m - Z.to_nat gap)%nat) ->
      (IZR low <= attention_on_label M t * pow2 bits <= IZR high)%R).
  { unfold allowed_tokens in T. destruct (Nat.eqb q m && Nat.eqb n 0) eqn:alone.
    - destruct (behind_at _ _ _ _ _ _ m q n 1 _) eqn:B; [|discriminate]. assert (tokens = m) by congruence. subst tokens.
      apply andb_prop in alone. destruct alone as [qm n0]. apply Nat.eqb_eq in qm, n0.
      exists 1, (Z.shiftl 1 bits), (Z.shiftl 1 bits), [Z.shiftl 1 bits]. split; [lia|].
      split; [split; [exact B | split; now left]|]. split; [lia|]. split; [lia|]. split; [lia|].
      intros t is_t lab que oth below. rewrite shiftl_1 by exact natural.
      assert (all : attention_on_label M t = 1%R).
      { unfold attention_on_label. rewrite <- (attention_sums_to_1 M t K). apply sum_ext. intros p P.
        destruct (Nat.eqb (nth p t 0%nat) (label t)) eqn:same; [reflexivity|exfalso]. apply Nat.eqb_neq in same.
        destruct (Nat.eq_dec p (k - 1)) as [->|before].
        - apply same. rewrite lab, <- qm, <- que. reflexivity.
        - destruct is_t as [L _]. unfold others in oth. rewrite n0 in oth. apply length_zero_iff_nil in oth.
          assert (J : In (nth p t 0%nat) (filter (fun token => negb (Nat.eqb token (label t))) (firstn (n_ctx M - 1) t))).
          { change (n_ctx M) with k in *. apply filter_In. split; [|now apply negb_true_iff, Nat.eqb_neq].
            rewrite <- (Numerators.nth_firstn_lt _ (k - 1) t p 0%nat) by lia. apply nth_In. rewrite firstn_length. lia. }
          rewrite oth in J. destruct J. }
      rewrite all, Rmult_1_l. lra.
    - destruct range as [|gap [|low [|high [|]]]] eqn:R; try discriminate.
      destruct ((0 <? gap) && behind_at _ _ _ _ _ _ m q n gap [low; high]) eqn:B; [|discriminate].
      assert (tokens = S (m - Z.to_nat gap)) by congruence. subst tokens.
      apply andb_prop in B. destruct B as [gap_pos B]. apply Z.ltb_lt in gap_pos.
      destruct (fit m q n gap low high ltac:(lia) R) as [gap_fits apart].
      exists gap, low, high, [low; high]. split; [exact gap_pos|]. split; [split; [exact B | split; [now left | right; now left]]|]. split; [lia|]. split; [lia|]. split; [intros other; specialize (apart other); lia|].
      intros t is_t lab que oth below. specialize (attended t is_t). unfold range_true in attended. rewrite lab, que, oth in attended.
      fold range in attended. rewrite R in attended. apply attended. intros p P other. specialize (below p P other). lia. }
  destruct range_and_gap as (gap & low & high & ends & gap_pos & (B & low_in & high_in) & few & count & query_apart & between).
  set (T_ := seq 0 tokens).
  assert (small_T : forall x, In x T_ -> (x < m)%nat) by (intros x J; apply in_seq in J; lia).
  assert (n_fits : (n <= if Nat.eqb q m then n_ctx M - 1 else n_ctx M - 2)%nat).
  { change (n_ctx M) with k. unfold ns_of_pair in N. destruct (Nat.eqb q m); lia. }
  assert (some : (n = 0 -> q <> m -> 1 < n_ctx M)%nat).
  { intros _ other. change (n_ctx M) with k. unfold ns_of_pair in N. apply Nat.eqb_neq in other. rewrite other in N. lia. }
  exists (map (fun ts => ts ++ [q]) (fill T_ m n (k - 1))). split; [|split].
  - apply Injective_map_NoDup; [intros x y X; now apply app_inj_tail in X|].
    apply fill_NoDup; [apply seq_NoDup|]. intros J. specialize (small_T m J). lia.
  - rewrite Forall_map. apply Forall_forall. intros ts J.
    destruct (filled_sequence w m q n T_ ts good ltac:(change (d_vocab (model_of w)) with v; lia) ltac:(lia) small_T n_fits some J)
      as (is_t & lab & que & pre & oth & all). fold M in is_t, que, pre, oth. set (t := ts ++ [q]) in *.
    assert (below : forall p, (p < k)%nat -> nth p t 0%nat <> m -> (nth p t 0 <= m - Z.to_nat gap)%nat).
    { intros p P other. destruct (Nat.eq_dec p (k - 1)) as [->|before].
      - change (nth (k - 1) t 0%nat) with (query M t) in *. rewrite que in *. now apply query_apart.
      - assert (Jp : In (nth p t 0%nat) ts).
        { rewrite <- pre. change (n_ctx M) with k. rewrite <- (Numerators.nth_firstn_lt _ (k - 1) t p 0%nat) by lia. apply nth_In.
          rewrite firstn_length. destruct is_t as [L _]. change (n_ctx M) with k in L. lia. }
        destruct (all _ Jp) as [same|Jt]; [contradiction|]. apply in_seq in Jt.
        destruct (Nat.eq_dec n 0) as [->|nonzero]; [|destruct (count nonzero); lia].
        exfalso. unfold others in oth. apply length_zero_iff_nil in oth.
        assert (F : In (nth p t 0%nat) (filter (fun token => negb (Nat.eqb token (label t))) (firstn (n_ctx M - 1) t))).
        { rewrite pre. apply filter_In. split; [exact Jp|]. rewrite lab. now apply negb_true_iff, Nat.eqb_neq. }
        rewrite oth in F. destruct F. }
    split.
    + split; [exact is_t|]. rewrite lab. intros y Y other.
      assert (N' : (others M t < n_ctx M)%nat) by (rewrite oth; change (n_ctx M) with k; unfold ns_of_pair in N; destruct (Nat.eqb q m); lia).
      subst M. destruct (gain_at_most w margin spread lines value good path values t is_t y gap Y ltac:(rewrite lab; exact other) N' gap_pos
        ltac:(intros p P; rewrite lab; now apply below)) as (l & short & less).
      rewrite lab, oth in short. rewrite lab, que, oth in less.
      set (a := attention_on_label (model_of w) t) in *.
      pose proof (behind_at_sound w margin bits spread lines value positive natural m q n gap ends low l B low_in short) as A1.
      pose proof (behind_at_sound w margin bits spread lines value positive natural m q n gap ends high l B high_in short) as A2.
      specialize (between t is_t lab que oth below). fold a in between.
      assert (range_a : (IZR low * pow2 (- bits) <= a <= IZR high * pow2 (- bits))%R).
      { assert (E : (a = a * pow2 bits * pow2 (- bits))%R) by (rewrite Rmult_assoc, pow2_opp; ring).
        pose proof (pow2_pos (- bits)). rewrite E. split; apply Rmult_le_compat_r; lra. }
      assert (final : (reached_by w margin spread lines value m q n gap l a < 0)%R).
      { unfold reached_by in *.
        set (s := number lines (lines_row (model_of w) lines m n) (2 * l)) in *. set (b := number lines (lines_row (model_of w) lines m n) (2 * l + 1)) in *.
        set (sp := number spread 0 q) in *. set (D := number value 0 (m - Z.to_nat gap)) in *. set (mu := value_of margin) in *.
        pose proof (linear_below (s - D) (sp + b + D + mu) a _ _ range_a) as Lin.
        apply Rle_lt_trans with ((s - D) * a + (sp + b + D + mu))%R; [right; ring|]. apply Lin; lra. }
      lra.
    + unfold region, in_region. cbn [of_label queries ns]. rewrite lab, que, oth. repeat split; rewrite Z.shiftl_spec by lia; now rewrite Z.sub_diag.
  - rewrite map_length, fill_length. unfold T_. rewrite seq_length. lia.
Qed.
